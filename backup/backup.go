package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"hookwheel/wal"
)

// Options say where backups are, and how they are encrypted.
type Options struct {
	To  Location
	Key string // encrypts and decrypts; empty: they are not encrypted; secret
	S3  S3
}

// Repository is a place where backups are.
type Repository struct {
	location Location
	target   target
	key      string
}

// Open returns the repository at a location. It reads nothing there.
func Open(o Options) (*Repository, error) {
	r := &Repository{location: o.To, key: o.Key}
	if o.Key != "" {
		if err := CheckKey(o.Key); err != nil {
			return nil, fmt.Errorf("the encryption key of backups %w", err)
		}
	}
	switch {
	case o.To.IsZero():
		return nil, errors.New("no location of backups is set")
	case o.To.Bucket == "":
		r.target = folder{o.To.Path}
		return r, nil
	}
	b, err := openBucket(o.To, o.S3)
	r.target = b
	return r, err
}

// Location returns where the repository is.
func (r *Repository) Location() Location { return r.location }

// Backup is a complete backup in a repository.
type Backup struct {
	Name
	Location Location `json:"-"`
	Bytes    int64    `json:"bytes"` // that are stored
}

// Manifest describes a backup. It is written last: a backup without it is not complete.
type Manifest struct {
	Format    int              `json:"format"` // 1
	Backup    wal.BackupHeader `json:"backup"`
	Kind      Kind             `json:"kind"`
	Encrypted bool             `json:"encrypted"`
	Bytes     int64            `json:"storedBytes"`
	SHA256    string           `json:"storedSHA256"`
}

const (
	manifestFormat  = 1
	withdrawTimeout = 2 * time.Second // a leader that resigns waits for it
	maxManifest     = 64 << 10        // bytes
)

// Save stores a backup, of size bytes. It appears when it is complete. After an error nothing of it
// remains, or only what CleanUp removes.
func (r *Repository) Save(ctx context.Context, kind Kind, content io.Reader, size int64, progress func(done, total int64)) (Backup, Manifest, error) {
	if size < 0 {
		return Backup{}, Manifest{}, errors.New("the size of the backup is unknown: a proxy may have removed the Content-Length of the response; connect to the node directly")
	}
	in := bufio.NewReaderSize(content, 256<<10)
	header, err := wal.PeekBackup(in)
	if err != nil {
		return Backup{}, Manifest{}, err
	}
	name, err := newName(header, kind)
	if err != nil {
		return Backup{}, Manifest{}, err
	}
	m := Manifest{Format: manifestFormat, Backup: header, Kind: kind, Encrypted: r.key != "", Bytes: size}
	if m.Encrypted {
		m.Bytes = sealedSize(size)
	}
	if m.SHA256, err = r.upload(ctx, name.key(), in, m.Bytes, progress); err != nil {
		return Backup{}, Manifest{}, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return Backup{}, Manifest{}, err
	}
	if err := r.target.put(ctx, name.key()+manifestSuffix, bytes.NewReader(text), int64(len(text))); err != nil {
		return Backup{}, Manifest{}, errors.Join(err, withdraw(ctx, r.target, object{key: name.key()}))
	}
	return r.named(name, m.Bytes), m, nil
}

// withdraw removes what an interrupted backup has written, also after ctx has ended. What it can't
// remove, CleanUp removes later.
func withdraw(ctx context.Context, t target, o object) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	if err := t.remove(ctx, o); err != nil {
		return fmt.Errorf("what was written was not removed, and will be later: %w", err)
	}
	return nil
}

func (r *Repository) named(name Name, bytes int64) Backup {
	return Backup{Name: name, Location: r.location.in(name.key()), Bytes: bytes}
}

// upload verifies and stores a backup, and returns the SHA-256 of what it has stored.
func (r *Repository) upload(ctx context.Context, key string, in io.Reader, size int64, progress func(done, total int64)) (string, error) {
	reader, writer := io.Pipe()
	var verifying sync.WaitGroup
	defer verifying.Wait()
	defer reader.Close() // stops the writer
	verifying.Go(func() { _ = writer.CloseWithError(r.copy(writer, in, progress)) })
	stored := &countedSum{in: reader, sum: sha256.New(), left: size}
	if err := r.target.put(ctx, key, stored, size); err != nil {
		return "", err
	}
	return hex.EncodeToString(stored.sum.Sum(nil)), nil
}

// copy copies a backup, encrypted if there is a key, and fails if it is not whole.
func (r *Repository) copy(to io.Writer, in io.Reader, progress func(done, total int64)) error {
	if r.key == "" {
		_, err := wal.VerifyBackup(io.TeeReader(in, to), progress)
		return err
	}
	sealed, err := newSealer(to, r.key)
	if err != nil {
		return err
	}
	if _, err := wal.VerifyBackup(io.TeeReader(in, sealed), progress); err != nil {
		return err
	}
	return sealed.Close()
}

// countedSum hashes what is read, and fails unless that has the announced size.
type countedSum struct {
	in   io.Reader
	sum  hash.Hash
	left int64
}

func (c *countedSum) Read(data []byte) (int, error) {
	n, err := c.in.Read(data)
	c.left -= int64(n)
	_, _ = c.sum.Write(data[:n]) // never fails
	switch {
	case c.left < 0:
		err = errors.New("the backup is larger than announced")
	case err == io.EOF && c.left > 0:
		err = fmt.Errorf("the backup is smaller than announced: %d bytes are missing", c.left)
	case err != nil && err != io.EOF: // wrapped, so that it is not mistaken for the end
		err = fmt.Errorf("reading the backup: %w", err)
	}
	return n, err
}

// List returns the complete backups of a cluster, or with an empty cluster those of all, one
// cluster after the other. The oldest backup of each is the first.
func (r *Repository) List(ctx context.Context, cluster string) ([]Backup, error) {
	complete, _, err := r.look(ctx, cluster)
	return complete, err
}

// look returns the complete backups, as List does, and what else we have written.
func (r *Repository) look(ctx context.Context, cluster string) (complete []Backup, rest []object, err error) {
	prefix := ""
	if cluster != "" {
		prefix = cluster + "/"
	}
	objects, err := r.target.list(ctx, prefix)
	if err != nil {
		return nil, nil, err
	}
	byKey := make(map[string]object)
	for _, o := range objects {
		byKey[o.key] = o
	}
	for _, o := range objects {
		key, isManifest := strings.CutSuffix(o.key, manifestSuffix)
		name, ours := parseName(key)
		if !ours || cluster != "" && name.Cluster != cluster {
			continue
		}
		_, hasOther := byKey[key+manifestSuffix]
		if isManifest {
			_, hasOther = byKey[key]
		}
		switch {
		case !hasOther:
			rest = append(rest, o)
		case !isManifest:
			complete = append(complete, r.named(name, o.size))
		}
	}
	slices.SortFunc(complete, func(a, b Backup) int { return a.compare(b.Name) })
	return complete, rest, nil
}

// find returns the named backup, or the newest one if none is named.
func (r *Repository) find(ctx context.Context, name Name, named bool) (Backup, error) {
	cluster := ""
	if named {
		cluster = name.Cluster
	}
	list, err := r.List(ctx, cluster)
	if err != nil {
		return Backup{}, err
	}
	if named {
		if i := slices.IndexFunc(list, func(b Backup) bool { return b.key() == name.key() }); i >= 0 {
			return list[i], nil
		}
		return Backup{}, fmt.Errorf("%s has no complete backup %s", r.location, name.key())
	}
	var clusters []string
	for _, b := range list {
		if !slices.Contains(clusters, b.Cluster) {
			clusters = append(clusters, b.Cluster)
		}
	}
	switch len(clusters) {
	case 0:
		return Backup{}, fmt.Errorf("%s has no complete backup", r.location)
	case 1:
		return list[len(list)-1], nil
	}
	return Backup{}, fmt.Errorf(`%s has backups of %d clusters (%s): name one backup; "hookwheel backup list" shows them`,
		r.location, len(clusters), strings.Join(clusters, ", "))
}

// Read reads a backup, decrypted. What it returns can prove that it is whole: see
// wal.VerifyBackup.
func (r *Repository) Read(ctx context.Context, b Backup) (io.ReadCloser, Manifest, error) {
	var m Manifest
	text, err := readSmall(ctx, r.target, b.key()+manifestSuffix, maxManifest)
	if err != nil {
		return nil, m, err
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Format < 1 || m.Backup.Cluster != b.Cluster || m.Backup.Index != b.Index {
		return nil, m, fmt.Errorf("the manifest of %s is damaged, or not of this backup", b.Location)
	}
	if m.Format > manifestFormat {
		return nil, m, fmt.Errorf("the manifest of %s has format %d, but this program knows formats up to %d: it was made by a newer version of Hookwheel; use that one",
			b.Location, m.Format, manifestFormat)
	}
	content, size, err := r.target.get(ctx, b.key())
	if err != nil {
		return nil, m, err
	}
	opened, err := r.check(ctx, content, size, &m)
	if err != nil {
		return nil, m, errors.Join(fmt.Errorf("%s: %w", b.Location, err), content.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{opened, content}, m, nil
}

// check decrypts an object if it is what its manifest says.
func (r *Repository) check(ctx context.Context, content io.Reader, size int64, m *Manifest) (io.Reader, error) {
	if size != m.Bytes {
		return nil, fmt.Errorf("the object has %d bytes, but its manifest says %d", size, m.Bytes)
	}
	plain, err := Unseal(ctx, content, func() (string, error) { return r.key, nil })
	if err != nil {
		return nil, err
	}
	if _, encrypted := plain.(*unsealer); !encrypted && r.key != "" {
		return nil, errNotEncrypted
	}
	in := bufio.NewReaderSize(plain, 256<<10)
	header, err := wal.PeekBackup(in)
	if err != nil {
		return nil, err
	}
	if !header.Same(m.Backup) {
		return nil, fmt.Errorf("the object is another backup than its manifest says: of %s as of entry %d", header.Node, header.Index)
	}
	return in, nil
}

// Source is a backup to read, and what its manifest says if it is in a repository.
type Source struct {
	io.ReadCloser
	Name     string
	Manifest *Manifest
}

// OpenSource opens the backup at a location, the newest one if it is not that of a single one.
func OpenSource(ctx context.Context, o Options) (*Source, error) {
	at, name, named, err := splitBackup(o.To)
	if err != nil {
		return nil, err
	}
	o.To = at
	r, err := Open(o)
	if err != nil {
		return nil, err
	}
	b, err := r.find(ctx, name, named)
	if err != nil {
		return nil, err
	}
	content, m, err := r.Read(ctx, b)
	if err != nil {
		return nil, err
	}
	return &Source{content, b.Location.String(), &m}, nil
}

const abandonedAfter = 24 * time.Hour // when the write of a manual backup can't go on any more

// CleanUp removes what interrupted backups of a cluster have left. No scheduled one may be under
// way; manual ones may be.
func (r *Repository) CleanUp(ctx context.Context, cluster string, now time.Time) (removed int, err error) {
	_, rest, err := r.look(ctx, cluster)
	if err != nil {
		return 0, err
	}
	writes, err := r.target.unfinished(ctx, cluster+"/")
	if err != nil {
		return 0, err
	}
	for _, o := range append(rest, writes...) {
		name, ours := parseName(strings.TrimSuffix(o.key, manifestSuffix))
		if !ours || name.Cluster != cluster || name.Kind == Manual && now.Sub(name.Made) < abandonedAfter {
			continue
		}
		if err := r.target.remove(ctx, o); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// Retention says which scheduled backups are kept.
type Retention struct {
	Count int           // of the newest ones, at least one
	Age   time.Duration // all that are younger
}

// Prune removes scheduled backups of a cluster that are no longer to be kept.
func (r *Repository) Prune(ctx context.Context, cluster string, keep Retention, now time.Time) (removed []Backup, err error) {
	list, err := r.List(ctx, cluster)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(b Backup) bool { return b.Kind != Scheduled })
	for _, b := range list[:max(0, len(list)-max(1, keep.Count))] {
		if now.Sub(b.Made) <= keep.Age { // perhaps made by a wrong clock: later ones may be older
			continue
		}
		// Without its manifest it is no longer a backup, whatever happens next.
		for _, key := range []string{b.key() + manifestSuffix, b.key()} {
			if err := r.target.remove(ctx, object{key: key}); err != nil {
				return removed, err
			}
		}
		removed = append(removed, b)
	}
	return removed, nil
}
