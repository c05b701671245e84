package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hookwheel/durable"
)

// SecretFile, in the data folder, contains the cluster secret of a node whose configuration has
// none.
const SecretFile = "cluster.secret"

// MinSecret is the minimum length of a cluster secret, in characters. MinSecretTLS is the minimum
// between nodes that use TLS, where only holders of a certificate can try to guess it.
const (
	MinSecret    = 32
	MinSecretTLS = 16

	minDistinct = 8 // characters; random hexadecimal ones practically always have more
)

// CheckSecret returns what is wrong with a cluster secret.
func CheckSecret(secret string, withTLS bool) error {
	least := MinSecret
	if withTLS {
		least = MinSecretTLS
	}
	distinct := make(map[rune]bool)
	for _, c := range secret {
		if c <= ' ' || c > '~' {
			return errors.New("must consist of visible ASCII characters")
		}
		distinct[c] = true
	}
	const make = `, for example what "openssl rand -hex 32" prints`
	switch {
	case len(secret) < least && !withTLS:
		return fmt.Errorf("must have at least %d characters (%d with a tls block)%s", least, MinSecretTLS, make)
	case len(secret) < least:
		return fmt.Errorf("must have at least %d characters%s", least, make)
	case len(distinct) < minDistinct:
		return fmt.Errorf("must be random, and has only %d different characters: use%s", len(distinct), strings.TrimPrefix(make, ","))
	}
	return nil
}

// openSecret returns the secret in the data folder dir, written by an earlier start or by an
// operator. If the folder has no secret, openSecret generates it.
func openSecret(dir string) (string, error) {
	path := filepath.Join(dir, SecretFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := randomHex(32)
		return secret, durable.ReplaceFile(path, []byte(secret+"\n"))
	}
	if err != nil {
		return "", fmt.Errorf("the cluster secret: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("the cluster secret in %s can be read by every user of this machine: run `chmod 600 %[1]s`", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("the cluster secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if err := CheckSecret(secret, false); err != nil {
		return "", fmt.Errorf("the cluster secret in %s %w", path, err)
	}
	return secret, nil
}

// loadSecret returns the secret of the configuration, or else that of the data folder. A single
// node needs no secret.
func loadSecret(config *Config) (string, error) {
	switch {
	case config.Listen == "":
		return "", nil
	case config.Secret != "":
		return config.Secret, nil
	default:
		return openSecret(config.Dir)
	}
}
