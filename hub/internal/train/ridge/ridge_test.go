package ridge_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"fluxora.dev/hub/internal/train/ridge"
)

// rows returns inputs, slots, targets and roots of weights.
func rows(n, inputs, slots int) (x [][]float64, slot []int, y, root []float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		v := make([]float64, inputs)
		sum := 0.0
		for i := range v {
			v[i] = rng.NormFloat64()
			sum += float64(i+1) * v[i]
		}
		s := rng.IntN(slots)
		x, slot = append(x, v), append(slot, s)
		y, root = append(y, sum+10*float64(s)+0.1*rng.NormFloat64()), append(root, 0.5+rng.Float64())
	}
	return x, slot, y, root
}

// TestSameAsWholeEquations compares with the normal equations written out, slots and all.
func TestSameAsWholeEquations(t *testing.T) {
	const n, k, slots = 500, 4, 6
	x, slot, y, root := rows(n, k, slots)
	sums := ridge.New(k, slots)
	half := ridge.New(k, slots)
	whole, right := mat.NewSymDense(k+slots, nil), mat.NewVecDense(k+slots, nil)
	weight := 0.0
	for i := range n {
		if i < n/2 {
			half.Add(x[i], slot[i], y[i], root[i])
		} else {
			sums.Add(x[i], slot[i], y[i], root[i])
		}
		row := make([]float64, k+slots)
		copy(row, x[i])
		row[k+slot[i]] = 1
		w := root[i] * root[i]
		weight += w
		v := mat.NewVecDense(k+slots, row)
		whole.SymRankOne(whole, w, v)
		right.AddScaledVec(right, w*y[i], v)
	}
	sums.Merge(half)
	unit := weight / n
	penalty := []float64{1, 2, 3, 4}
	for i := range k + slots {
		p := 5.0
		if i < k {
			p = penalty[i]
		}
		whole.SetSym(i, i, whole.At(i, i)+p*unit)
	}
	var c mat.Cholesky
	if !c.Factorize(whole) {
		t.Fatal("singular")
	}
	var want mat.VecDense
	if err := c.SolveVecTo(&want, right); err != nil {
		t.Fatal(err)
	}
	reduced, err := sums.Reduce(5)
	if err != nil {
		t.Fatal(err)
	}
	inputs, at, err := reduced.Solve(penalty)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range append(inputs, at...) {
		if math.Abs(got-want.AtVec(i)) > 1e-9 {
			t.Errorf("weight %d: got %g, want %g", i, got, want.AtVec(i))
		}
	}
}

func TestAGroupDepartsAsFarAsItsRowsSay(t *testing.T) {
	x, slot, y, root := rows(400, 2, 3)
	sums := ridge.New(2, 3)
	for i := range x {
		sums.Add(x[i], slot[i], y[i]+3*x[i][1], root[i]) // this group's second weight is 5, not 2
	}
	slots := []float64{0, 10, 20}
	d, err := sums.Deviate([]float64{1, 2}, slots, 1)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(d[0]) > 0.05 || math.Abs(d[1]-3) > 0.05 {
		t.Errorf("departs by %v, want 0 and 3", d)
	}
	if d, err = sums.Deviate([]float64{1, 2}, slots, 1e9); err != nil || math.Abs(d[1]) > 1e-3 {
		t.Errorf("held by a great penalty it departs by %v: %v", d, err)
	}
}

func TestWhatCannotBeSolved(t *testing.T) {
	sums := ridge.New(2, 1)
	if _, err := sums.Reduce(1); !errors.Is(err, ridge.ErrSingular) {
		t.Errorf("no rows: %v", err)
	}
	for range 10 {
		sums.Add([]float64{1, 1}, 0, 1, 1)
	}
	if _, err := sums.Reduce(0); err == nil {
		t.Error("slots without a penalty: taken")
	}
	r, err := sums.Reduce(1e-300)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Solve([]float64{0, 0}); !errors.Is(err, ridge.ErrSingular) {
		t.Errorf("twins without a penalty: %v", err)
	}
	if _, _, err := r.Solve([]float64{1, 1}); err != nil {
		t.Errorf("twins with a penalty: %v", err)
	}
}
