package backup

import (
	"strings"
	"testing"
	"time"
)

func TestParseLocation(t *testing.T) {
	for text, want := range map[string]Location{
		"s3://acme-backups":             {"acme-backups", ""},
		"s3://acme-backups/":            {"acme-backups", ""},
		"s3://acme-backups/a/b=c":       {"acme-backups", "a/b=c"},
		"s3://acme-backups/a/":          {"acme-backups", "a"},
		"file:///var/backups/hookwheel": {"", "/var/backups/hookwheel"},
		"file:///var//backups/../x y/":  {"", "/var/x y"},
	} {
		got, err := ParseLocation(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := ParseLocation(got.String()); err != nil || again != got {
			t.Errorf("%s is written %s, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "acme-backups", "http://acme-backups/x", "s3://", "s3:///x", "s3://A", "s3://ab", "s3://a..b", "s3://user@acme-backups/x", "s3://acme-backups/x?y",
		"s3://acme-backups/a//b", "s3://acme-backups/../b", "s3://acme-backups/./b", "s3://acme-backups/a b", "s3://acme-backups/" + strings.Repeat("x", maxPrefix+1),
		"file://host/x", "file:///", "file://x", "file:x", "s3://acme-backups/ä"} {
		if got, err := ParseLocation(text); err == nil {
			t.Errorf("%s was accepted: %+v", text, got)
		}
	}
}

func TestNames(t *testing.T) {
	cluster := strings.Repeat("0f", 16)
	n := Name{Cluster: cluster, Made: time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC), Index: 1<<64 - 1, Kind: Scheduled, random: "00c0ffee"}
	if want := cluster + "/20261123T040506Z-18446744073709551615-scheduled-00c0ffee.backup"; n.key() != want {
		t.Errorf("%s, want %s", n.key(), want)
	}
	if got, ok := parseName(n.key()); !ok || got != n {
		t.Errorf("%+v, %t", got, ok)
	}
	for _, key := range []string{"", "x", cluster + "/20261123T040506Z-1-scheduled-00c0ffee.backup.json", cluster + "/20261323T040506Z-1-scheduled-00c0ffee.backup",
		cluster + "/20261123T040506Z-99999999999999999999-scheduled-00c0ffee.backup", "../20261123T040506Z-1-scheduled-00c0ffee.backup",
		cluster + "/20261123T040506Z-01-scheduled-00c0ffee.backup", "x" + cluster + "/20261123T040506Z-1-scheduled-00c0ffee.backup", cluster + "/20261123T040506Z-1-other-00c0ffee.backup"} {
		if got, ok := parseName(key); ok {
			t.Errorf("%s was accepted: %+v", key, got)
		}
	}
}
