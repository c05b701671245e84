package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hookwheel/backup"
)

func TestLoadBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hookwheel.hcl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`delivery { workers = "many" }
	backup {
		to = "s3://acme-backups/hookwheel"
		every = "1h"
		s3 { endpoint = "https://s3.example" }
	}`) // neither the mistake nor the missing token matters
	want := Backup{To: backup.Location{Bucket: "acme-backups", Path: "hookwheel"}, Every: time.Hour, Keep: 7,
		S3: backup.S3{Endpoint: "https://s3.example", PathStyle: true, Region: "eu-central-1"}}
	t.Setenv("HOOKWHEEL_BACKUP_S3_REGION", "eu-central-1")
	if got, err := LoadBackup(path); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	want.To, want.Every, want.S3.Endpoint = backup.Location{}, 24*time.Hour, ""
	if got, err := LoadBackup(""); err != nil || got != want {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	for text, message := range map[string]string{
		`backup { to = "acme-backups" }`:                          `backup.to must be "s3://bucket/prefix" or "file:///folder"`,
		`backup { to = "file:///a/x.backup" }`:                    "backup.to must be where all backups are",
		`backup { every = "1s" }`:                                 `backup.every must be a duration from "1m" to "30d"`,
		`backup { keep = 0 }`:                                     "backup.keep must be a whole number from 1 to 10000",
		`backup { encryption_key = "short" }`:                     "backup.encryption_key must have at least 32 characters",
		"backup {\n s3 { endpoint = \"s3.example\" }\n}":          "backup.s3.endpoint must be the URL of a server",
		"backup {\n s3 { secret_access_key = \"a\\nsecret\" }\n}": "backup.s3.secret_access_key must consist of visible ASCII characters",
		`backup { bucket = "x" }`:                                 "Allowed here: to, every, keep",
	} {
		write(text)
		if _, err := LoadBackup(path); err == nil || !strings.Contains(err.Error(), message) || strings.Contains(err.Error(), "a secret") {
			t.Errorf("%s: got %v, want %s", text, err, message)
		}
	}
}

// A check finds what would keep a node from making backups, without asking the server.
func TestCheckBackup(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOOKWHEEL_API_TOKEN", configTestToken)
	t.Setenv("HOOKWHEEL_DATA", t.TempDir())
	t.Setenv("HOOKWHEEL_API_LISTEN", "127.0.0.1:0")
	t.Setenv("HOOKWHEEL_BACKUP_TO", "s3://acme-backups")
	if _, _, err := Check(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "HOOKWHEEL_BACKUP_TO: backup.to can't be used: the credentials for S3 are missing") {
		t.Errorf("without credentials: %v", err)
	}
	t.Setenv("HOOKWHEEL_BACKUP_S3_ACCESS_KEY_ID", "id")
	t.Setenv("HOOKWHEEL_BACKUP_S3_SECRET_ACCESS_KEY", "secret")
	if _, _, err := Check(t.Context(), ""); err != nil {
		t.Errorf("with credentials: %v", err)
	}
	t.Setenv("HOOKWHEEL_BACKUP_S3_CA", filepath.Join(t.TempDir(), "missing.pem"))
	if _, _, err := Check(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("without the file of the CA: %v", err)
	}
}
