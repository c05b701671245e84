package wal

import (
	"encoding/binary"
	"math"

	"github.com/tidwall/btree"

	"hookwheel/webhook"
)

// makerClass is a class of makers of changes. What the changes of a class may take together is
// limited, so those of one class never push out those of another.
type makerClass byte

// The classes; their numbers are in keys.
const (
	makerOperator makerClass = 0
	makerCustomer makerClass = 1 // the tokens of an application
	makerCluster  makerClass = 2 // the nodes, about an application
	makerClasses             = 3
)

// The changes that are kept may take so many bytes: those of a class of makers, and those of each
// maker but an operator.
const (
	changesRoom  = 16 << 20
	changesShare = 512 << 10
)

// maker is who made changes: an API key of an operator (all other credentials of operators have
// the zero ID), the tokens of an application, or the nodes on account of an application.
type maker struct {
	class makerClass
	id    webhook.ID
}

func makerOf(c *webhook.StateChange) maker {
	switch {
	case c.By.Kind() == webhook.ActorCluster:
		return maker{makerCluster, c.App}
	case c.By.Role == webhook.RoleApplication:
		return maker{makerCustomer, c.By.App}
	default:
		return maker{makerOperator, c.By.Key}
	}
}

// byMaker returns the runs of changes with the same maker.
func byMaker(list []webhook.StateChange) (runs [][]webhook.StateChange) {
	first := 0
	for i := range list {
		if i+1 == len(list) || makerOf(&list[i]) != makerOf(&list[i+1]) {
			runs = append(runs, list[first:i+1])
			first = i + 1
		}
	}
	return runs
}

func (m maker) compare(other maker) int {
	if m.class != other.class {
		return int(m.class) - int(other.class)
	}
	return m.id.Compare(other.id)
}

const changeKeySize = 1 + entrySize + 1 + idSize

// changeKey: entry 13 | class 1 | maker 20
func changeKey(entry webhook.ID, by maker) []byte {
	key := append([]byte{keyChange}, entry[:entrySize]...)
	return append(append(key, byte(by.class)), by.id[:]...)
}

func parseChangeKey(key []byte) (entry webhook.ID, by maker) {
	return placedID(key[:1+entrySize], 0), maker{makerClass(key[1+entrySize]), webhook.ID(key[1+entrySize+1:])}
}

const changesVersion = 1

// changeRecord is the value of a record: the changes that one maker made in one entry, as JSON.
type changeRecord struct {
	removed uint64 // so many earlier changes of this maker were removed to make room
	count   uint64
	list    []byte
}

// encode: removed 8 | count | list
func (c *changeRecord) encode() []byte {
	dst := binary.BigEndian.AppendUint64([]byte{changesVersion}, c.removed)
	return append(binary.AppendUvarint(dst, c.count), c.list...)
}

// decode does not copy the list.
func (c *changeRecord) decode(value []byte) error {
	r := newReader(value, changesVersion)
	if removed := r.take(8); removed != nil {
		c.removed = binary.BigEndian.Uint64(removed)
	}
	c.count = r.number(math.MaxUint32)
	c.list = r.rest
	return r.err
}

func decodeChanges(value []byte) (list []webhook.StateChange, err error) {
	var c changeRecord
	if err := c.decode(value); err != nil {
		return nil, err
	}
	return list, decodeJSON(c.list, &list)
}

// changes has in memory where the changes are that are kept. Only Apply changes it.
type changes struct {
	makers map[maker]*madeChanges
	sizes  [makerClasses]*btree.BTreeG[makerSize] // of all makers
	bytes  [makerClasses]int64
	oldest []byte // key; there is no record before it

	room, share int64 // changesRoom and changesShare; tests have less
}

// madeChanges are the records with changes of one maker, in order.
type madeChanges struct {
	records []changePlace
	bytes   int64
	removed uint64 // as the first record has it
}

// changePlace is one record.
type changePlace struct {
	entry webhook.ID
	size  uint32 // of key and value
	count uint32 // of changes
}

type makerSize struct {
	bytes int64
	by    maker
}

func newChanges() changes {
	c := changes{makers: make(map[maker]*madeChanges), oldest: []byte{keyChange}, room: changesRoom, share: changesShare}
	for class := range c.sizes {
		c.sizes[class] = btree.NewBTreeGOptions(func(a, b makerSize) bool {
			return a.bytes < b.bytes || a.bytes == b.bytes && a.by.compare(b.by) < 0
		}, btree.Options{NoLocks: true})
	}
	return c
}

func (c *changes) load(v view) error {
	return v.scan([]byte{keyChange}, func(key, value []byte) error {
		if len(key) != changeKeySize || key[1+entrySize] >= makerClasses {
			return errCut
		}
		var record changeRecord
		if err := record.decode(value); err != nil {
			return err
		}
		entry, by := parseChangeKey(key)
		c.add(by, changePlace{entry, uint32(len(key) + len(value)), uint32(record.count)})
		if made := c.makers[by]; len(made.records) == 1 {
			made.removed = record.removed
		}
		return nil
	})
}

// add adds the newest record of a maker.
func (c *changes) add(by maker, place changePlace) {
	made := c.makers[by]
	if made == nil {
		made = new(madeChanges)
		c.makers[by] = made
	}
	made.records = append(made.records, place)
	c.grow(by, made, int64(place.size))
}

// drop removes the oldest record of a maker. A maker without records is forgotten.
func (c *changes) drop(by maker, made *madeChanges) changePlace {
	first := made.records[0]
	made.records = made.records[1:]
	c.grow(by, made, -int64(first.size))
	if len(made.records) == 0 {
		delete(c.makers, by)
	}
	return first
}

// grow changes how many bytes the records of a maker take.
func (c *changes) grow(by maker, made *madeChanges, bytes int64) {
	sizes := c.sizes[by.class]
	sizes.Delete(makerSize{made.bytes, by})
	made.bytes += bytes
	c.bytes[by.class] += bytes
	if made.bytes > 0 {
		sizes.Set(makerSize{made.bytes, by})
	}
}

// isFlooded reports whether a customer has used up the share within the hour before.
func (c *changes) isFlooded(by maker, clock int64) bool {
	made := c.makers[by]
	return made != nil && by.class == makerCustomer && made.removed > 0 && made.records[0].entry.Millis() > clock-hour
}

// largest returns the maker of a class whose records take most.
func (c *changes) largest(class makerClass) maker {
	largest, _ := c.sizes[class].Max()
	return largest.by
}

// removedChanges counts the changes of a class of makers that were removed to make room.
type removedChanges struct {
	count  uint64
	newest int64 // of them, in milliseconds
}

type removedByClass [makerClasses]removedChanges

func (r *removedByClass) append(dst []byte) []byte {
	for i := range r {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, r[i].count), uint64(r[i].newest))
	}
	return dst
}

func (r *removedByClass) read(in *reader) {
	for i := range r {
		r[i].count, r[i].newest = in.uvarint(), int64(in.number(math.MaxInt64))
	}
}
