package backup

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The examples of AWS's documentation of Signature Version 4.
func TestSign(t *testing.T) {
	c := credentials{id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		method, path, query, body string
		header                    map[string]string
		want                      string
	}{
		{"GET", "/test.txt", "", "", map[string]string{"Range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"PUT", "/test$file.text", "", "Welcome to Amazon S3.", map[string]string{"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY"},
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"GET", "/", "lifecycle=", "", nil, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"GET", "/", "max-keys=2&prefix=J", "", nil, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		r, err := http.NewRequest(test.method, "https://examplebucket.s3.amazonaws.com"+escapePath(test.path)+"?"+test.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range test.header {
			r.Header.Set(name, value)
		}
		c.sign(r, "us-east-1", []byte(test.body), now)
		if got := r.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+test.want) {
			t.Errorf("%s %s?%s: %s, want %s", test.method, test.path, test.query, got, test.want)
		}
	}
}
