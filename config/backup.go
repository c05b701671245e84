package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"hookwheel/backup"
)

// Backup says where the leader stores backups of the cluster, and how often. It must be the same
// on all nodes.
type Backup struct {
	To            backup.Location // zero: no backups are made
	Every         time.Duration
	Keep          int           // of the newest ones
	KeepFor       time.Duration // all that are younger
	EncryptionKey string        // empty: they are not encrypted; secret
	S3            backup.S3
}

func defaultBackup() Backup {
	return Backup{Every: 24 * time.Hour, Keep: 7, S3: backup.S3{PathStyle: true}}
}

// Options returns how the repository of the backups is opened.
func (b *Backup) Options() backup.Options {
	return backup.Options{To: b.To, Key: b.EncryptionKey, S3: b.S3}
}

func decodeBackup(b configBlock, settings *Backup) {
	if readKey(b, "to", &settings.To, backup.ParseLocation) && strings.HasSuffix(settings.To.Path, ".backup") {
		b.fail(b.valueAt("to"), "to", "must be where all backups are, not a single one")
	}
	readKey(b, "every", &settings.Every, durationBetween(time.Minute, 30*24*time.Hour))
	readKey(b, "keep", &settings.Keep, intBetween(1, 10_000))
	readKey(b, "keep_for", &settings.KeepFor, durationBetween(0, 10*365*24*time.Hour))
	readKey(b, "encryption_key", &settings.EncryptionKey, func(text string) (string, error) { return text, backup.CheckKey(text) })
	decodeS3(b.block("s3"), &settings.S3)
}

func decodeS3(b configBlock, s3 *backup.S3) {
	readKey(b, "endpoint", &s3.Endpoint, backup.ParseEndpoint)
	readKey(b, "region", &s3.Region, parseRegion)
	readKey(b, "path_style", &s3.PathStyle, parseBool)
	readKey(b, "ca", &s3.CA, parseFile)
	readKey(b, "access_key_id", &s3.AccessKeyID, parseCredential)
	readKey(b, "secret_access_key", &s3.SecretAccessKey, parseCredential)
	readKey(b, "session_token", &s3.SessionToken, parseCredential)
}

func parseRegion(text string) (string, error) {
	if !idPattern.MatchString(text) {
		return "", errors.New(`must be the name of a region, such as "eu-central-1"`)
	}
	return text, nil
}

// parseCredential requires a value that can be sent in a header.
func parseCredential(text string) (string, error) {
	if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", errors.New("must consist of visible ASCII characters")
	}
	return text, nil
}

// LoadBackup reads the block about backups, for commands that work without a node. Mistakes in
// other blocks do not matter to them. An empty path is as in Load.
func LoadBackup(path string) (Backup, error) {
	name, source, err := readFile(path)
	if err != nil {
		return Backup{}, err
	}
	file, err := parse(name, source)
	if err != nil {
		return Backup{}, err
	}
	settings := defaultBackup()
	before := len(file.diags)
	decodeBackup(file.block("backup"), &settings)
	return settings, configError(slices.Clone(file.diags[before:]))
}

func (b *Backup) settings() []Setting {
	return []Setting{
		{Name: "backup.to", Value: b.To.String()},
		{Name: "backup.every", Value: durationText(b.Every)},
		{Name: "backup.keep", Value: strconv.Itoa(b.Keep)},
		{Name: "backup.keep_for", Value: durationText(b.KeepFor)},
		secretSetting("backup.encryption_key", b.EncryptionKey),
		{Name: "backup.s3.endpoint", Value: b.S3.Endpoint},
		{Name: "backup.s3.region", Value: b.S3.Region},
		{Name: "backup.s3.path_style", Value: strconv.FormatBool(b.S3.PathStyle)},
		{Name: "backup.s3.ca", Value: b.S3.CA},
		{Name: "backup.s3.access_key_id", Value: b.S3.AccessKeyID},
		secretSetting("backup.s3.secret_access_key", b.S3.SecretAccessKey),
		secretSetting("backup.s3.session_token", b.S3.SessionToken),
	}
}
