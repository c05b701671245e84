package wal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dgraph-io/badger/v4"
)

// maxDifferences limits the list that Differences returns.
const maxDifferences = 20

// Differences returns the first records in which two stores differ. No node may be using them.
func Differences(one, other string, logger *slog.Logger) (list []string, err error) {
	a, err := openToCheck(one, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := openToCheck(other, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	left, err := walkRecords(a)
	if err != nil {
		return nil, err
	}
	defer left.close()
	right, err := walkRecords(b)
	if err != nil {
		return nil, err
	}
	defer right.close()
	for len(list) < maxDifferences && (left.it.Valid() || right.it.Valid()) {
		order := left.compare(right)
		switch {
		case order < 0:
			list = append(list, left.name()+" is only in "+one)
		case order > 0:
			list = append(list, right.name()+" is only in "+other)
		default:
			same, err := left.same(right)
			if err != nil {
				return nil, err
			}
			if !same {
				list = append(list, left.name()+" is not the same in "+one+" and "+other)
			}
		}
		if order <= 0 {
			left.it.Next()
		}
		if order >= 0 {
			right.it.Next()
		}
	}
	return list, nil
}

// recordWalk visits all records in order of key.
type recordWalk struct {
	txn transaction
	it  *badger.Iterator
}

func walkRecords(db *database) (recordWalk, error) {
	txn, _, err := newestState(db)
	if err != nil {
		return recordWalk{}, err
	}
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	w := recordWalk{txn, txn.NewIterator(opts)}
	w.it.Rewind()
	return w, nil
}

func (w recordWalk) close() {
	w.it.Close()
	w.txn.Discard()
}

// compare compares the keys at which two walks are. The end of a walk counts as higher than every
// key.
func (w recordWalk) compare(other recordWalk) int {
	switch {
	case !w.it.Valid():
		return 1
	case !other.it.Valid():
		return -1
	default:
		return bytes.Compare(w.it.Item().Key(), other.it.Item().Key())
	}
}

func (w recordWalk) same(other recordWalk) (same bool, err error) {
	err = w.txn.read(w.it.Item(), func(a []byte) error {
		return other.txn.read(other.it.Item(), func(b []byte) error {
			same = bytes.Equal(a, b)
			return nil
		})
	})
	return same, err
}

func (w recordWalk) name() string {
	key := w.it.Item().Key()
	return fmt.Sprintf("the record %x (%s)", key, recordKinds[key[0]].name)
}
