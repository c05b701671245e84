package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	first, err := openSecret(dir)
	must(t, err)
	info, err := os.Stat(filepath.Join(dir, SecretFile))
	must(t, err)
	if again, err := openSecret(dir); err != nil || again != first || len(first) != 64 || info.Mode().Perm() != 0o600 {
		t.Errorf("it was %q and is %q, %v, mode %v", first, again, err, info.Mode())
	}
	must(t, os.Chmod(filepath.Join(dir, SecretFile), 0o644))
	if _, err := openSecret(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a secret that all can read: %v", err)
	}
	must(t, os.Chmod(filepath.Join(dir, SecretFile), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, SecretFile), []byte("short\n"), 0o600))
	if _, err := openSecret(dir); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a short secret: %v", err)
	}
}

func TestCheckSecret(t *testing.T) {
	for secret, fine := range map[string][2]bool{ // without TLS, with TLS
		"":                                    {false, false},
		testSecret:                            {true, true},
		testSecret[:31]:                       {false, true},
		testSecret[:16]:                       {false, true},
		testSecret[:15]:                       {false, false},
		strings.Repeat("change", 8):           {false, false},
		strings.Repeat("0123456789 abcde", 2): {false, false},
		"0123456789abcdef0123456789abcdéf":    {false, false},
	} {
		for i, withTLS := range []bool{false, true} {
			if err := CheckSecret(secret, withTLS); (err == nil) != fine[i] {
				t.Errorf("%q, TLS %v: %v", secret, withTLS, err)
			}
		}
	}
}
