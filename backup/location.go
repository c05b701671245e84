package backup

import (
	"errors"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Location is where backups are: under a prefix in a bucket, or in a folder.
type Location struct {
	Bucket string // empty: a folder
	Path   string // without slashes around it; of a folder, absolute and clean
}

var (
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._=+-]+(/[A-Za-z0-9._=+-]+)*$`)
)

const maxPrefix = 512 // bytes: a key has at most 1,024

// ParseLocation parses s3://bucket/prefix and file:///folder.
func ParseLocation(text string) (Location, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "s3" && u.Scheme != "file" {
		return Location{}, errors.New(`must be "s3://bucket/prefix" or "file:///folder"`)
	}
	if u.Scheme == "file" {
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || path.Clean(u.Path) == "/" {
			return Location{}, errors.New(`must name a folder with three slashes, such as "file:///var/backups/hookwheel"`)
		}
		return Location{Path: path.Clean(u.Path)}, nil
	}
	if !bucketPattern.MatchString(u.Host) || strings.Contains(u.Host, "..") {
		return Location{}, errors.New("must name a bucket with 3 to 63 characters of a-z, 0-9, dots and dashes")
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" && !prefixPattern.MatchString(prefix) || len(prefix) > maxPrefix || hasDots(prefix) {
		return Location{}, errors.New("must have a prefix of letters, digits and ._=+-, separated by single slashes, of at most 512 bytes")
	}
	return Location{Bucket: u.Host, Path: prefix}, nil
}

// hasDots reports whether a segment of a path is . or .., which clients and proxies resolve.
func hasDots(prefix string) bool {
	for segment := range strings.SplitSeq(prefix, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// IsLocation reports whether text is meant as a location, and not as the name of a file.
func IsLocation(text string) bool {
	return strings.HasPrefix(text, "s3://") || strings.HasPrefix(text, "file://")
}

// IsZero reports whether no location is set.
func (l Location) IsZero() bool { return l == Location{} }

// String returns a location as ParseLocation reads it, or "" for none.
func (l Location) String() string {
	switch {
	case l.IsZero():
		return ""
	case l.Bucket == "":
		return (&url.URL{Scheme: "file", Path: l.Path}).String()
	}
	return strings.TrimSuffix("s3://"+l.Bucket+"/"+l.Path, "/")
}

// in returns the location of the object with a key.
func (l Location) in(key string) Location {
	if l.Path == "" {
		return Location{Bucket: l.Bucket, Path: key}
	}
	return Location{Bucket: l.Bucket, Path: l.Path + "/" + key}
}
