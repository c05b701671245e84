package wal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"hookwheel/webhook"
)

// The benchmarks of this file take long and much room: they are run with -bench Open -benchtime 5x
// -timeout 1h. The folder $HOOKWHEEL_BENCH_DIR, if it is set, keeps the stores from one run to the
// next.

const (
	fillEvent = 1 << 10 // bytes
	fillBatch = 128     // events in an entry
)

// fill applies events with their attempts until at least so many bytes of events are in.
func fill(s *Store, bytes int64) error {
	app, endpoint, err := fillCatalog(s)
	if err != nil {
		return err
	}
	payload := make([]byte, fillEvent)
	for i := range payload {
		payload[i] = "0123456789abcdef"[i%16]
	}
	for done := int64(0); done < bytes; done += fillBatch * fillEvent {
		commands := make([]Command, fillBatch)
		for i := range commands {
			commands[i].Body = appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a", Payload: payload})
			commands[i].Request = [16]byte{byte(done), byte(done >> 8), byte(done >> 16), byte(done >> 24), byte(done >> 32), byte(i)}
		}
		replies, err := s.Apply(s.Applied()+1, 1, testClock+int64(s.Applied()), commands)
		if err != nil {
			return err
		}
		progress := webhook.Progress{Endpoint: endpoint}
		for _, reply := range replies {
			id := webhook.ID(reply[1:])
			progress.Cursor = id
			progress.Outcomes = append(progress.Outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: id, Endpoint: endpoint, Number: 1,
				URL: "http://127.0.0.1:9000/hooks", Status: webhook.StatusSuccess, StatusCode: 200}})
		}
		body := encodeProgress(1, []webhook.Progress{progress})
		if _, err := s.Apply(s.Applied()+1, 1, testClock+int64(s.Applied()), []Command{{Body: body}}); err != nil {
			return err
		}
		if err := s.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// fillCatalog finds or makes the application and the endpoint.
func fillCatalog(s *Store) (app, endpoint webhook.ID, err error) {
	if a, err := s.Application("fill"); err == nil {
		e, err := s.Endpoint(a.ID, "fill")
		return a.ID, e.ID, err
	}
	w := NewWriter(direct{s, 1})
	a, _, err := w.CreateApplication(context.Background(), webhook.Application{UID: "fill", Name: "n"}, false)
	if err != nil {
		return app, endpoint, err
	}
	e, err := w.CreateEndpoint(context.Background(), webhook.Endpoint{App: a.ID, UID: "fill", URL: "http://127.0.0.1:9000/hooks"})
	return a.ID, e.ID, err
}

func openFilled(dir string) (*Store, error) {
	return Open(Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) }})
}

// TestFillChild is not a test but what a process does that is to be killed: it applies as much as
// it is told and waits.
func TestFillChild(t *testing.T) {
	dir := os.Getenv("HOOKWHEEL_FILL_DIR")
	if dir == "" {
		t.Skip("only as a process of its own")
	}
	bytes, err := strconv.ParseInt(os.Getenv("HOOKWHEEL_FILL_BYTES"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openFilled(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(s, bytes); err != nil {
		t.Fatal(err)
	}
	fmt.Println("filled")
	select {}
}

// fillAndKill makes a process apply so many bytes more, and kills it.
func fillAndKill(dir string, bytes int64) error {
	child := exec.Command(os.Args[0], "-test.run", "^TestFillChild$")
	child.Env = append(os.Environ(), "HOOKWHEEL_FILL_DIR="+dir, "HOOKWHEEL_FILL_BYTES="+strconv.FormatInt(bytes, 10))
	output, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || line != "filled\n" {
		err = fmt.Errorf("the child says %q, %w", line, errors.Join(err, errors.New("not that it has filled the store")))
	}
	killed := child.Process.Kill()
	_ = child.Wait() // says that it was killed
	return errors.Join(err, killed)
}

// BenchmarkOpen opens a store of 5 MB and one of 5 GB, after a clean end and after a kill that
// leaves a memtable behind. It also gives the time that Close takes.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int64{5 << 20, 5 << 30} {
		dir := filepath.Join(benchDir(b), fmt.Sprintf("%dMiB", size>>20))
		if _, err := os.Stat(dir); err != nil {
			s, err := openFilled(dir)
			if err == nil {
				err = errors.Join(fill(s, size), s.Close())
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		for _, how := range []struct {
			name string
			mess int64 // bytes applied and not yet in a table when the process is killed
			cold bool
		}{{"clean", 0, false}, {"clean-cold", 0, true}, {"killed", 4 << 20, false}, {"killed-full", 36 << 20, false}} {
			b.Run(fmt.Sprintf("%dMiB/%s", size>>20, how.name), func(b *testing.B) {
				benchmarkOpen(b, dir, how.mess, how.cold)
			})
		}
	}
}

func benchDir(b *testing.B) string {
	if dir := os.Getenv("HOOKWHEEL_BENCH_DIR"); dir != "" {
		return dir
	}
	return b.TempDir()
}

func benchmarkOpen(b *testing.B, dir string, mess int64, cold bool) {
	var closing time.Duration
	for range b.N {
		b.StopTimer()
		if mess > 0 {
			if err := fillAndKill(dir, mess); err != nil {
				b.Fatal(err)
			}
		}
		if cold {
			if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
				b.Skip("dropping the page cache takes root: ", err)
			}
		}
		b.StartTimer()
		s, err := openFilled(dir)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		begin := time.Now()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		closing += time.Since(begin)
	}
	b.ReportMetric(float64(closing.Milliseconds())/float64(b.N), "ms-to-close")
}

// BenchmarkSnapshot reads and loads the state of the larger store.
func BenchmarkSnapshot(b *testing.B) {
	dir := filepath.Join(benchDir(b), "1024MiB")
	if _, err := os.Stat(dir); err != nil {
		s, err := openFilled(dir)
		if err == nil {
			err = errors.Join(fill(s, 1<<30), s.Close())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	from, err := openFilled(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	b.Run("open", func(b *testing.B) {
		for range b.N {
			_, size, content, err := from.OpenSnapshot()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			_ = content.Close()
		}
	})
	b.Run("read", func(b *testing.B) {
		for range b.N {
			_, size, content, err := from.OpenSnapshot()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			_, err = io.Copy(io.Discard, content)
			if err := errors.Join(err, content.Close()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		for range b.N {
			to, err := openFilled(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			_, size, content, err := from.OpenSnapshot()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			if err := errors.Join(to.RestoreSnapshot(content), content.Close(), to.Close()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
