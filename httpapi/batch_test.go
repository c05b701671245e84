package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// FuzzSplitArray compares with encoding/json: the same arrays are accepted, with the same items, as
// long as they are not nested too deep.
func FuzzSplitArray(f *testing.F) {
	for _, seed := range []string{`[]`, `[1]`, ` [ {"a":[1,2],"b":"],}\\\""} , null ] `, `[1,]`, `[,1]`, `[1`, `[1}`, `[{]`, `[[1}]`, `[1]]`, `[1] x`, `{"a":1}`, `["\ud800", "é"]`, `["a,b]",{"c":{}}]`,
		`[` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `,{}]`, "[\"\xff\"]", ``, `[ ]`, `["\`, `[0,"`, `[1,,2]`, "[1\n,\t2]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		items, err := splitArray(text)
		var want []json.RawMessage
		valid := json.Unmarshal(text, &want) == nil && want != nil
		odd := len(want) == 0 || len(want) > maxMessages // or null
		for _, one := range want {
			odd = odd || tooDeep(one)
		}
		if err != nil {
			if valid && !odd {
				t.Fatalf("%q is refused: %v", text, err)
			}
			return
		}
		for _, one := range items {
			if one.err != nil {
				return // not UTF-8, which encoding/json replaces, or too deep, which it may not be
			}
		}
		if !valid || len(items) != len(want) {
			t.Fatalf("%q has %d items, want %d (valid: %v)", text, len(items), len(want), valid)
		}
		for i, one := range items {
			if !bytes.Equal(one.text, bytes.Trim(want[i], space)) {
				t.Errorf("%q: item %d is %q, want %q", text, i, one.text, want[i])
			}
		}
	})
}

func TestSplitLines(t *testing.T) {
	items, err := splitLines([]byte("\n {\"a\":1} \r\n\n\t\n{\"b\":\n[1]\n\xff"))
	if err != nil || len(items) != 4 || string(items[0].text) != `{"a":1}` || items[0].err != nil || items[1].err == nil || items[2].err != nil || items[3].err == nil {
		t.Errorf("%v %v", items, err)
	}
	for _, text := range []string{"", "\n \r\n"} {
		if _, err := splitLines([]byte(text)); err != errNoMessages {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := splitLines([]byte(strings.Repeat("{}\n", maxMessages+1))); err != errManyMessages {
		t.Error(err)
	}
}

// Parts have bounds in messages and bytes, and follow each other without gaps.
func TestParts(t *testing.T) {
	for _, size := range []int{2, 100, 1000, 20_000, partBytes, partBytes + 1, 1 << 20} {
		items := make([]item, 300)
		for i := range items {
			items[i].text = make([]byte, size)
		}
		for first := 0; first < len(items); {
			end := partEnd(items, first)
			if n := end - first; n < 1 || n > 128 || n > 1 && n*size > partBytes {
				t.Fatalf("%d messages of %d bytes in a part", n, size)
			}
			first = end
		}
	}
}

// What a response says about errors is bounded, but each message that was refused has some.
func TestBatchErrorsAreBounded(t *testing.T) {
	b := batch{results: make([]batchResult, maxMessages)}
	for i := range b.results {
		var many manyInvalid
		for range maxFaults {
			many = append(many, manyInvalid{errNotArray}...)
		}
		b.refuse(i, many)
		if len(b.results[i].Errors) == 0 || fmt.Sprint(b.results[i].Errors[0].Loc) != fmt.Sprintf("[body [%d]]", i) {
			t.Fatal(b.results[i])
		}
	}
	text, err := json.Marshal(b.results)
	if err != nil || len(text) > faultsBytes+maxMessages*256 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
