package backup

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hookwheel/backup/s3test"
)

// Each limit of backups that docs/limits.md lists is there.
func TestLimits(t *testing.T) {
	s := s3test.Start(t)
	r := onServer(t, s, "")
	b := r.target.(*bucket)
	tests := map[string]func() string{ // returns what is wrong
		"memory of an upload": func() string {
			b := bucket{part: minPart}
			for size, want := range map[int64]int64{1: 8 << 20, 78 << 30: 8 << 20, 100_000 << 20: 10 << 20, maxObject: maxObject/maxParts + 1} {
				if got := b.partSize(size); got != want || (size+got-1)/got > maxParts {
					return fmt.Sprintf("%d bytes have parts of %d", size, got)
				}
			}
			return ""
		},
		"size of a backup in object storage": func() string {
			if err := b.put(t.Context(), "x", strings.NewReader(""), 5<<40+1); err == nil || !strings.Contains(err.Error(), "at most 5120") {
				return fmt.Sprint(err)
			}
			return ""
		},
		"tries of one request, with pauses of up to 30 s": func() string {
			tries := 0
			s.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				tries++
				fail(w, 503, "SlowDown")
				return true
			})
			defer s.Intercept(nil)
			if _, err := r.List(t.Context(), ""); err == nil || tries != 5 || maxPause != 30*time.Second {
				return fmt.Sprintf("%v after %d tries", err, tries)
			}
			return ""
		},
		"time for one request": func() string {
			if s3Timeout != time.Minute || s3Rate != 128<<10 {
				return "it is another one"
			}
			return ""
		},
		"silence of the server during a download": func() string {
			if getStall != 30*time.Second {
				return "it is another one"
			}
			return ""
		},
		"objects under a prefix": func() string {
			page := 0
			s.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				page++
				var text strings.Builder
				for i := range 50_000 {
					fmt.Fprintf(&text, "<Contents><Key>some/prefix/%d-%d</Key></Contents>", page, i)
				}
				_, _ = fmt.Fprintf(w, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken>%s</ListBucketResult>", page, &text)
				return true
			})
			defer s.Intercept(nil)
			if _, err := r.List(t.Context(), ""); err == nil || page != 3 || !strings.Contains(err.Error(), "more than 100000 objects: use a prefix for backups only") {
				return fmt.Sprintf("%v after %d pages", err, page)
			}
			return ""
		},
		"scheduled backups that are kept": func() string { return "" }, // TestPrune, and the example configuration
		"free space that a backup leaves in a folder": func() string { // TestFolderFaults
			if folderReserve != 256<<20 {
				return "it is another one"
			}
			return ""
		},
	}
	text, err := os.ReadFile(filepath.Join("..", "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Backups\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(section, -1)[1:] {
		test, found := tests[row[1]]
		if !found {
			t.Errorf("%s: nothing goes beyond it", row[1])
			continue
		}
		if wrong := test(); wrong != "" {
			t.Errorf("%s: %s", row[1], wrong)
		}
		delete(tests, row[1])
	}
	for name := range tests {
		t.Errorf("docs/limits.md does not list %s", name)
	}
}
