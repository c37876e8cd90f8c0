// Package zstd gives gRPC the compressor "zstd", with buffers small enough for a gateway.
//
// It knows nothing of the messages. Decompressed size is bounded by gRPC's own limit on received messages, and the window
// by this package, so that a hostile peer cannot ask for much memory.
package zstd

import (
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// Name is what messages compressed by this package are marked with.
const Name = "zstd"

// window bounds how far back a match may reach. Messages are small, and both sides hold a window per encoder.
const window = 256 << 10

var register sync.Once

// Register makes the compressor known to gRPC. Programs call it before they dial or serve; calling it again does nothing.
func Register() { register.Do(func() { encoding.RegisterCompressor(&compressor{}) }) }

// compressor pools encoders and decoders: making one costs far more than using it.
type compressor struct {
	encoders, decoders sync.Pool
}

// Name implements encoding.Compressor.
func (c *compressor) Name() string { return Name }

// Compress implements encoding.Compressor.
func (c *compressor) Compress(w io.Writer) (io.WriteCloser, error) {
	if e, ok := c.encoders.Get().(*encoder); ok {
		e.Reset(w)
		return e, nil
	}
	e, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	return &encoder{Encoder: e, pool: &c.encoders}, nil
}

// Decompress implements encoding.Compressor.
func (c *compressor) Decompress(r io.Reader) (io.Reader, error) {
	if d, ok := c.decoders.Get().(*decoder); ok {
		if err := d.Reset(r); err != nil {
			return nil, err
		}
		return d, nil
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	return &decoder{Decoder: d, pool: &c.decoders}, nil
}

// encoder returns to its pool when closed.
type encoder struct {
	*zstd.Encoder
	pool *sync.Pool
}

func (e *encoder) Close() error {
	err := e.Encoder.Close()
	if err == nil {
		e.pool.Put(e)
	}
	return err
}

// decoder returns to its pool at the end of its message. One that fails is left to the collector.
type decoder struct {
	*zstd.Decoder
	pool *sync.Pool
}

func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.Decoder.Read(p)
	if err == io.EOF {
		d.pool.Put(d)
	}
	return n, err
}
