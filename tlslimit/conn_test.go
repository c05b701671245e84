package tlslimit

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// pair returns both ends of a connection, of which the second accepts TLS.
func pair(t *testing.T, turns *Turns, config *tls.Config) (client net.Conn, server *Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); accepted.Close() })
	return client, turns.Server(accepted, "a", config)
}

// watchedKey is a key that tells what it does.
type watchedKey struct {
	crypto.Signer
	signs func()
}

func (k *watchedKey) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	k.signs()
	return k.Signer.Sign(random, digest, options)
}

// A signature takes a turn, also for a client whose first message offers nothing that the server
// takes, and who must send another one.
func TestSignaturesTakeTurns(t *testing.T) {
	turns := NewTurns()
	turns.places = 1
	free := func() int {
		turns.mu.Lock()
		defer turns.mu.Unlock()
		return turns.places
	}
	var signed, verified atomic.Int32
	key := newKey(t, elliptic.P256())
	own := tls.Certificate{Certificate: [][]byte{certificate(t, "a", &key.PublicKey, key).Raw}, PrivateKey: &watchedKey{key, func() {
		signed.Add(1)
		if free() != 0 {
			t.Error("a signature is made without a turn")
		}
	}}}
	config := &tls.Config{Certificates: []tls.Certificate{own}, CurvePreferences: []tls.CurveID{tls.CurveP384}, ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(tls.ConnectionState) error {
			verified.Add(1)
			if free() != 0 {
				t.Error("a client is verified without a turn")
			}
			return nil
		}}
	client, server := pair(t, turns, config)
	go func() {
		secure := tls.Client(client, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{{Certificate: own.Certificate, PrivateKey: key}}})
		if err := secure.Handshake(); err != nil {
			t.Error(err)
		}
	}()
	if err := server.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if signed.Load() != 1 || verified.Load() != 1 {
		t.Errorf("%d signatures, %d verified", signed.Load(), verified.Load())
	}
	wait.For(t, "the turn to end", func() bool { return free() == 1 })
}

// A first message that is large is not kept.
func TestFirstMessageIsBounded(t *testing.T) {
	client, server := pair(t, NewTurns(), &tls.Config{})
	go func() {
		const chunk = 10_000
		head := []byte{22, 3, 1, chunk >> 8, chunk & 0xff}
		text := append(append(head[:5:5], 1, 0, 0xff, 0xf0), make([]byte, chunk-4)...)
		for range 6 {
			if _, err := client.Write(text); err != nil {
				return // it is closed
			}
			text = append(head[:5:5], make([]byte, chunk)...)
		}
	}()
	if err := server.HandshakeContext(t.Context()); !errors.Is(err, errTooMuch) {
		t.Errorf("got %v", err)
	}
}

// A few turns after a while without any need no rest, and many do.
func TestTurnsRest(t *testing.T) {
	turns := NewTurns()
	turns.places = 0
	now := time.Now()
	const turn = 100 * time.Microsecond
	few := int(float64(burst) / (turns.cost * float64(turn)))
	for range few {
		turns.end(now.Add(-turn), now)
	}
	if turns.places != few {
		t.Errorf("%d of %d places are free", turns.places, few)
	}
	turns.end(now.Add(-time.Minute), now)
	if turns.places != few {
		t.Error("a long turn has no rest")
	}
	if rest := turns.paid.Sub(now); rest < time.Duration(turns.cost*float64(time.Minute))-burst {
		t.Errorf("it is %s", rest)
	}
}

// Addresses take turns, so that those who want many delay others by one. What has begun goes first.
func TestAddressesTakeTurns(t *testing.T) {
	turns := NewTurns()
	turns.places = 0 // one is being had
	done := make(chan string)
	for _, address := range []string{"a", "a", "b", "A"} { // A: of a, and begun
		before := turns.waiting()
		go func() {
			end, err := turns.await(t.Context(), strings.ToLower(address), address == "A")
			if err != nil {
				t.Error(err)
			}
			done <- address
			end()
		}()
		wait.For(t, "one more to wait", func() bool { return turns.waiting() > before })
	}
	turns.mu.Lock()
	turns.places++
	turns.next()
	turns.mu.Unlock()
	var got []string
	for range 4 {
		got = append(got, <-done)
	}
	if order := strings.Join(got, ""); order != "Abaa" {
		t.Errorf("the order is %s", order)
	}
}

// Whoever no longer waits leaves nothing behind.
func TestWaitingEnds(t *testing.T) {
	turns := NewTurns()
	turns.places = 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := turns.await(ctx, "a", false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if turns.waiting() != 0 || len(turns.order) != 0 {
		t.Error("it still waits")
	}
}

func (t *Turns) waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.queues {
		n += len(q)
	}
	return n
}
