package blobfiles

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// headSize is what is before the key of a value: a sum and two lengths.
const headSize = 4 + 2 + 4

func recordSize(key, value int) int64 { return int64(headSize + key + value) }

func appendRecord(dst, key, value []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(key)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	dst = append(append(dst, key...), value...)
	binary.BigEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], castagnoli))
	return dst
}

// sizes returns the lengths of key and value that a head has.
func sizes(head []byte) (key, value int) {
	return int(binary.BigEndian.Uint16(head[4:])), int(binary.BigEndian.Uint32(head[6:]))
}

// cutRecord splits a whole record, and reports whether it is as it was written.
func cutRecord(record []byte) (key, value []byte, ok bool) {
	if len(record) < headSize {
		return nil, nil, false
	}
	keySize, valueSize := sizes(record)
	if int64(len(record)) != recordSize(keySize, valueSize) ||
		crc32.Checksum(record[4:], castagnoli) != binary.BigEndian.Uint32(record) {
		return nil, nil, false
	}
	return record[headSize : headSize+keySize], record[headSize+keySize:], true
}
