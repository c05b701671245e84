package backup

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hookwheel/wal"
)

// Kind says why a backup was made.
type Kind string

// Kinds of backups. Only scheduled ones are removed when they are old.
const (
	Scheduled Kind = "scheduled"
	Manual    Kind = "manual"
)

// Name is the name of a backup. Its key has all of it:
//
//	cluster/20060102T150405Z-index-kind-random.backup
//
// Beside each backup that is complete is its manifest, with .json added to the key.
type Name struct {
	Cluster string    `json:"cluster"`
	Made    time.Time `json:"made"`
	Index   uint64    `json:"index"`
	Kind    Kind      `json:"kind"`
	random  string    // keeps apart what several nodes make at the same time
}

const (
	nameTime       = "20060102T150405Z"
	nameSuffix     = ".backup"
	manifestSuffix = ".json"
)

var (
	clusterPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)
	namePattern    = regexp.MustCompile(`^([0-9a-f]{32})/([0-9]{8}T[0-9]{6}Z)-([0-9]{1,20})-(scheduled|manual)-([0-9a-f]{8})\.backup$`)
)

// isCluster reports whether text is the ID of a cluster.
func isCluster(text string) bool { return clusterPattern.MatchString(text) }

func newName(header wal.BackupHeader, kind Kind) (Name, error) {
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return Name{}, err
	}
	name := Name{Cluster: header.Cluster, Made: header.Made, Index: header.Index, Kind: kind, random: hex.EncodeToString(random)}
	if _, ok := parseName(name.key()); !ok {
		return Name{}, fmt.Errorf("the backup is of a cluster with an impossible id or time: %q, %s", header.Cluster, header.Made)
	}
	return name, nil
}

func (n Name) key() string {
	return fmt.Sprintf("%s/%s-%d-%s-%s%s", n.Cluster, n.Made.UTC().Format(nameTime), n.Index, n.Kind, n.random, nameSuffix)
}

// parseName is the reverse of key. It reports false for any other text.
func parseName(key string) (Name, bool) {
	match := namePattern.FindStringSubmatch(key)
	if match == nil {
		return Name{}, false
	}
	made, err := time.Parse(nameTime, match[2])
	if err != nil {
		return Name{}, false
	}
	index, err := strconv.ParseUint(match[3], 10, 64)
	if err != nil {
		return Name{}, false
	}
	name := Name{Cluster: match[1], Made: made, Index: index, Kind: Kind(match[4]), random: match[5]}
	return name, name.key() == key // an index may have zeros before it
}

// compare orders the backups of a cluster by age. The index comes first, as it never goes back,
// unlike a clock.
func (n Name) compare(other Name) int {
	return cmp.Or(strings.Compare(n.Cluster, other.Cluster), cmp.Compare(n.Index, other.Index), n.Made.Compare(other.Made), strings.Compare(n.key(), other.key()))
}

var errNoName = errors.New(`a backup is named prefix/CLUSTER/NAME.backup; "hookwheel backup list" shows them`)

// splitBackup splits the location of one backup into that of the repository and its name. ok is
// false if it is not the location of a backup.
func splitBackup(l Location) (of Location, name Name, ok bool, err error) {
	if !strings.HasSuffix(l.Path, nameSuffix) {
		return l, Name{}, false, nil
	}
	folder, base := path.Split(l.Path)
	prefix, cluster := path.Split(strings.TrimSuffix(folder, "/"))
	name, ok = parseName(cluster + "/" + base)
	if !ok {
		return l, Name{}, false, errNoName
	}
	return Location{Bucket: l.Bucket, Path: strings.TrimSuffix(prefix, "/")}, name, true, nil
}
