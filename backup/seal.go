package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An encrypted backup is a sequence of chunks, each encrypted with AES-256-GCM:
//
//	"hookwheel encrypted backup 1\n" | salt 32 | check 16 | chunks
//
// Each chunk has 64 KiB, the last one at most that, and a tag of 16 bytes.
//
// The key of the chunks and the check, which recognizes a wrong key, are derived by HKDF-SHA-256
// from the operator's key and the salt. The nonce of a chunk is its number and whether it is the
// last one, so chunks can't be reordered, repeated, left out or cut off unnoticed. The number in
// the first line is the version of the format.
const (
	sealedMagic   = "hookwheel encrypted backup "
	sealedLine    = sealedMagic + "1\n"
	saltSize      = 32
	checkSize     = 16
	sealedHeader  = len(sealedLine) + saltSize + checkSize
	chunkSize     = 64 << 10
	tagSize       = 16
	infoOfChunks  = "hookwheel backup chunks"
	infoOfCheck   = "hookwheel backup check"
	minKeyLetters = 32
)

var (
	errWrongKey = errors.New("the backup is encrypted with another key: set the encryption_key that was in force when it was made")
	errNoKey    = errors.New("the backup is encrypted: set encryption_key in the backup block of the configuration, or HOOKWHEEL_BACKUP_ENCRYPTION_KEY")
	// Whoever can write to a bucket could otherwise replace a backup without knowing the key.
	errNotEncrypted = errors.New("the backup is not encrypted, although encryption_key is set: it may be a forgery. If you trust it, download it and name the file, or unset the key")
	errTampered     = errors.New("the encrypted backup is damaged, cut short or was changed. Nothing was changed by it. Use another copy of this backup, or an older one")
)

// CheckKey returns an error unless a key is long enough that it can't be guessed.
func CheckKey(key string) error {
	if len(key) < minKeyLetters {
		return fmt.Errorf("must have at least %d characters, for example from \"openssl rand -hex 32\"", minKeyLetters)
	}
	return nil
}

// sealedSize returns the size of a backup once it is encrypted.
func sealedSize(plain int64) int64 {
	chunks := max(1, (plain+chunkSize-1)/chunkSize)
	return int64(sealedHeader) + plain + chunks*tagSize
}

// sealing is what chunks are encrypted and decrypted with.
type sealing struct {
	aead  cipher.AEAD
	check []byte
	nonce [12]byte // the number of the chunk in 8 bytes, zeros, and 1 for the last one
}

func newSealing(key string, salt []byte) (*sealing, error) {
	chunks, err := hkdf.Key(sha256.New, []byte(key), salt, infoOfChunks, 32)
	if err != nil {
		return nil, err
	}
	check, err := hkdf.Key(sha256.New, []byte(key), salt, infoOfCheck, checkSize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(chunks)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealing{aead: aead, check: check}, err
}

// next returns the nonce of the next chunk.
func (s *sealing) next(last bool) []byte {
	nonce := bytes.Clone(s.nonce[:])
	if last {
		nonce[len(nonce)-1] = 1
	}
	binary.BigEndian.PutUint64(s.nonce[:8], binary.BigEndian.Uint64(s.nonce[:8])+1)
	return nonce
}

// sealer encrypts what is written to it.
type sealer struct {
	sealing *sealing
	to      io.Writer
	chunk   []byte // not yet encrypted, at most chunkSize
	sealed  []byte
}

// newSealer writes the header. Close writes the last chunk and does not close the writer.
func newSealer(to io.Writer, key string) (*sealer, error) {
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	sealing, err := newSealing(key, salt)
	if err != nil {
		return nil, err
	}
	_, err = to.Write(append(append([]byte(sealedLine), salt...), sealing.check...))
	return &sealer{sealing: sealing, to: to, chunk: make([]byte, 0, chunkSize), sealed: make([]byte, 0, chunkSize+tagSize)}, err
}

func (s *sealer) Write(data []byte) (int, error) {
	written := len(data)
	for len(data) > 0 {
		if len(s.chunk) == chunkSize { // more follows, so it is not the last one
			if err := s.flush(false); err != nil {
				return 0, err
			}
		}
		n := min(len(data), chunkSize-len(s.chunk))
		s.chunk = append(s.chunk, data[:n]...)
		data = data[n:]
	}
	return written, nil
}

func (s *sealer) flush(last bool) error {
	s.sealed = s.sealing.aead.Seal(s.sealed[:0], s.sealing.next(last), s.chunk, nil)
	s.chunk = s.chunk[:0]
	_, err := s.to.Write(s.sealed)
	return err
}

// Close writes the last chunk.
func (s *sealer) Close() error { return s.flush(true) }

// Unseal returns the content of a backup that may be encrypted, which can be read until ctx ends.
// It asks for the key if it is encrypted.
func Unseal(ctx context.Context, from io.Reader, askKey func() (string, error)) (io.Reader, error) {
	in := bufio.NewReaderSize(contextReader{ctx, from}, 4*chunkSize)
	magic, err := in.Peek(len(sealedLine))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !strings.HasPrefix(string(magic), sealedMagic) {
		return in, nil
	}
	if string(magic) != sealedLine {
		return nil, errors.New("the backup is encrypted in a format that this program does not know: it was made by a newer version of Hookwheel; use that one")
	}
	key, err := askKey()
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, errNoKey
	}
	header := make([]byte, sealedHeader)
	if _, err := io.ReadFull(in, header); err != nil {
		return nil, cutOff(err)
	}
	salt, check := header[len(sealedLine):len(sealedLine)+saltSize], header[len(sealedLine)+saltSize:]
	sealing, err := newSealing(key, salt)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(sealing.check, check) != 1 {
		return nil, errWrongKey
	}
	return &unsealer{sealing: sealing, in: in, sealed: make([]byte, chunkSize+tagSize)}, nil
}

// unsealer decrypts what it reads. It returns nothing that was not authenticated.
type unsealer struct {
	sealing *sealing
	in      *bufio.Reader
	sealed  []byte
	plain   []byte // decrypted, and not yet read
	ended   bool
	failed  error
}

func (u *unsealer) Read(data []byte) (int, error) {
	for len(u.plain) == 0 {
		switch {
		case u.failed != nil:
			return 0, u.failed
		case u.ended:
			return 0, io.EOF
		}
		u.plain, u.failed = u.open()
	}
	n := copy(data, u.plain)
	u.plain = u.plain[n:]
	return n, nil
}

// open decrypts the next chunk.
func (u *unsealer) open() ([]byte, error) {
	n, err := io.ReadFull(u.in, u.sealed)
	switch {
	case err == io.ErrUnexpectedEOF: // not one that wraps it: that of a broken connection
		u.ended = true
	case err != nil:
		return nil, cutOff(err)
	default:
		_, err = u.in.Peek(1)
		u.ended = err == io.EOF
		if err != nil && !u.ended {
			return nil, err
		}
	}
	plain, err := u.sealing.aead.Open(u.sealed[:0], u.sealing.next(u.ended), u.sealed[:n], nil)
	if err != nil {
		return nil, errTampered
	}
	return plain, nil
}

// cutOff replaces the error at the end of the input. One that wraps it has another cause.
func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errTampered
	}
	return err
}
