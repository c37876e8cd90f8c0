package zstd_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"google.golang.org/grpc/encoding"

	"fluxora.dev/proto/zstd"
)

func TestRoundTripConcurrently(t *testing.T) {
	zstd.Register()
	zstd.Register()
	c := encoding.GetCompressor(zstd.Name)
	var work sync.WaitGroup
	for worker := range 4 {
		work.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 50 {
				want := bytes.Repeat([]byte{byte(random.Uint32()), 2, 3}, random.IntN(20_000))
				var b bytes.Buffer
				w, err := c.Compress(&b)
				if err != nil {
					t.Error(err)
					return
				}
				w.Write(want)
				if err := w.Close(); err != nil {
					t.Error(err)
					return
				}
				if len(want) > 1000 && b.Len() > len(want)/10 {
					t.Errorf("%d bytes became %d", len(want), b.Len())
				}
				r, err := c.Decompress(&b)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes came back as %d, %v", len(want), len(got), err)
				}
			}
		})
	}
	work.Wait()
}

func TestRubbish(t *testing.T) {
	zstd.Register()
	c := encoding.GetCompressor(zstd.Name)
	for _, b := range [][]byte{{1, 2, 3, 4, 5}, {0x28, 0xb5, 0x2f, 0xfd, 0xff}} {
		r, err := c.Decompress(bytes.NewReader(b))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("% x: taken", b)
		}
	}
}
