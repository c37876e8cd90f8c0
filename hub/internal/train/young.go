package train

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"fluxora.dev/shared/model"
)

// A point of a week's history is another matter than one of a year: what yesterday says counts for more, and a mean of four
// weeks is one of one. A model that learns from both is torn: on 15 real meters, shown a week each, a line that had learnt from
// short histories alone erred 17 % less than one that had met them in one row of eight. So an ensemble has members that learnt
// from young points alone, that is from the origins of all points, each seen as if the point had been installed days before;
// how much they count for which length of history its weights say.

// youngShare is the rows of young points that are wanted, as a share of Params.MaxRows; they come on top of those.
const youngShare = 0.4

// youngAge draws how much history a young point has: 1 to 13 days, a week most often.
func youngAge(rng *rand.Rand) time.Duration {
	return time.Duration(1+rng.IntN(7)+rng.IntN(7)) * 24 * time.Hour
}

// youngFamilies are those that are fitted to young points apart. Family weeks has lines of its own for them; forests and networks were not tried.
var youngFamilies = []string{model.FamilyLinear, model.FamilyBoosted, model.FamilyGBDT}

// youngOf returns those of some families that are fitted to young points as well.
func youngOf(families []string) []string {
	return slices.DeleteFunc(slices.Clone(families), func(f string) bool { return !slices.Contains(youngFamilies, f) })
}

// ofYoungPoints returns a view of the table that learns from the rows of young points alone.
func (t *table) ofYoungPoints() (*table, error) {
	v := *t
	v.ofYoung = true
	return &v, v.part()
}

// fitYoung fits families to the young rows of two tables, of what was known at the trial's cut and of everything. Where these are
// too few it returns none.
func fitYoung(ctx context.Context, past, all *table, p Params, tell Progress) (trials, finals []model.Member, err error) {
	pastYoung, err := past.ofYoungPoints()
	if errors.Is(err, ErrTooLittle) {
		return nil, nil, nil
	}
	allYoung, err := all.ofYoungPoints()
	if errors.Is(err, ErrTooLittle) {
		return nil, nil, nil
	}
	p.Points, p.WarmStart = Shared, false
	for i, name := range p.young {
		p.Family = name
		for _, f := range []struct {
			t  *table
			to *[]model.Member
		}{{pastYoung, &trials}, {allYoung, &finals}} {
			a, _, err := fitOn(ctx, f.t, p, nil)
			if err != nil {
				return nil, nil, err
			}
			*f.to = append(*f.to, model.Member{Family: name, Model: a.Model})
		}
		tell.tell(name+" of young points", float64(i+1)/float64(len(p.young)))
	}
	return trials, finals, nil
}
