package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var testKey = strings.Repeat("k", minKeyLetters)

func seal(t testing.TB, plain []byte, key string) []byte {
	t.Helper()
	var out bytes.Buffer
	s, err := newSealer(&out, key)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(plain, 10_007) {
		if _, err := s.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unseal(sealed []byte, key string) ([]byte, error) {
	plain, err := Unseal(context.Background(), bytes.NewReader(sealed), func() (string, error) { return key, nil })
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

func noise(size int) []byte {
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)})
	_, _ = random.Read(data) // never fails
	return data
}

func TestSeal(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 3*chunkSize - 7} {
		plain := noise(size)
		sealed := seal(t, plain, testKey)
		if int64(len(sealed)) != sealedSize(int64(size)) {
			t.Errorf("%d bytes take %d, not %d", size, len(sealed), sealedSize(int64(size)))
		}
		if got, err := unseal(sealed, testKey); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		if size > 0 && bytes.Contains(sealed, plain[:min(size, 16)]) && size > 16 {
			t.Errorf("%d bytes: not encrypted", size)
		}
		if _, err := unseal(sealed, strings.Repeat("x", minKeyLetters)); !errors.Is(err, errWrongKey) {
			t.Errorf("%d bytes, another key: %v", size, err)
		}
		if _, err := unseal(sealed, ""); !errors.Is(err, errNoKey) {
			t.Errorf("%d bytes, no key: %v", size, err)
		}
	}
	first, second := seal(t, []byte("same"), testKey), seal(t, []byte("same"), testKey)
	if bytes.Equal(first[sealedHeader:], second[sealedHeader:]) {
		t.Error("the same content is encrypted the same way twice")
	}
}

// What is cut, changed, reordered, repeated or added is noticed, and nothing is returned that was
// not written.
func TestSealTampered(t *testing.T) {
	const chunks = 4
	plain := noise(chunks*chunkSize - 100)
	sealed := seal(t, plain, testKey)
	chunk := func(i int) []byte {
		begin := sealedHeader + i*(chunkSize+tagSize)
		return sealed[begin:min(begin+chunkSize+tagSize, len(sealed))]
	}
	head := sealed[:sealedHeader]
	tampered := map[string][]byte{
		"first chunk missing":  slices.Concat(head, chunk(1), chunk(2), chunk(3)),
		"middle chunk missing": slices.Concat(head, chunk(0), chunk(2), chunk(3)),
		"last chunk missing":   slices.Concat(head, chunk(0), chunk(1), chunk(2)),
		"only the last chunk":  slices.Concat(head, chunk(3)),
		"no chunk":             slices.Clone(head),
		"half a header":        sealed[:sealedHeader-5],
		"reordered":            slices.Concat(head, chunk(1), chunk(0), chunk(2), chunk(3)),
		"repeated":             slices.Concat(head, chunk(0), chunk(0), chunk(1), chunk(2), chunk(3)),
		"last chunk repeated":  slices.Concat(sealed, chunk(3)),
		"something added":      slices.Concat(sealed, []byte{0}),
		"of another backup":    slices.Concat(seal(t, plain, testKey)[:sealedHeader], sealed[sealedHeader:]),
	}
	for _, at := range []int{sealedHeader - 1, len(sealedLine) + 1, sealedHeader, sealedHeader + chunkSize, len(sealed) - 1} {
		changed := slices.Clone(sealed)
		changed[at] ^= 1
		tampered["changed at "+string(rune('0'+at%10))] = changed
	}
	for i := 1; i < 40; i++ {
		tampered["cut "+string(rune('A'+i))] = sealed[:len(sealed)*i/40]
	}
	for name, data := range tampered {
		got, err := unseal(data, testKey)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Errorf("%s: something else was returned", name)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	plain := []byte("a small one")
	sealed := seal(f, plain, testKey) // each process that fuzzes has another
	f.Add(sealed)
	f.Add(sealed[:sealedHeader])
	f.Add([]byte(sealedMagic + "2\n"))
	f.Add([]byte("hookwheel backup 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := unseal(data, testKey)
		isSealed := bytes.HasPrefix(data, []byte(sealedMagic))
		if isSealed && err == nil && (len(data) != len(sealed) || !bytes.Equal(got, plain)) {
			t.Errorf("%q was accepted", data)
		}
		if !isSealed && (err != nil || !bytes.Equal(got, data)) {
			t.Errorf("%q became %q, %v", data, got, err)
		}
	})
}

// A connection that breaks is not mistaken for the end of a backup, which would be a damaged one.
func TestUnsealBrokenConnection(t *testing.T) {
	sealed := seal(t, noise(2*chunkSize), testKey)
	broken := fmt.Errorf("the download: %w", io.ErrUnexpectedEOF)
	for _, size := range []int{len(sealedLine) + 1, sealedHeader, sealedHeader + 100, sealedHeader + chunkSize + tagSize, len(sealed) - 1} {
		plain, err := Unseal(t.Context(), io.MultiReader(bytes.NewReader(sealed[:size]), iotest.ErrReader(broken)), func() (string, error) { return testKey, nil })
		if err == nil {
			_, err = io.ReadAll(plain)
		}
		if !errors.Is(err, broken) || errors.Is(err, errTampered) {
			t.Errorf("after %d of %d bytes: %v", size, len(sealed), err)
		}
	}
}
