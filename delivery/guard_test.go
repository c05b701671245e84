package delivery

import (
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	usual := guard{allow: parsePrefixes("10.1.0.0/16"), deny: parsePrefixes("10.1.9.0/24", "8.8.4.0/24")}
	open := guard{allow: parsePrefixes("::/0"), deny: parsePrefixes("2606:4700::/32")}
	tests := []struct {
		address string
		guard   guard
		want    bool
	}{
		{"8.8.8.8", usual, true}, {"2606:4700::1111", usual, true}, {"10.1.2.3", usual, true}, {"::ffff:10.1.2.3", usual, true}, {"::ffff:8.8.8.8", usual, true},
		{"10.2.0.1", usual, false}, {"127.0.0.1", usual, false}, {"::1", usual, false}, {"::", usual, false}, {"0.0.0.0", usual, false},
		{"169.254.169.254", usual, false}, {"192.168.1.1", usual, false}, {"172.31.255.255", usual, false}, {"172.32.0.1", usual, true},
		{"100.64.0.1", usual, false}, {"fe80::1%eth0", usual, false}, {"fd00::1", usual, false}, {"224.0.0.1", usual, false},
		{"255.255.255.255", usual, false}, {"2001:db8::1", usual, false}, {"::7f00:1", usual, false}, {"::ffff:127.0.0.1", usual, false},
		{"64:ff9b::7f00:1", usual, false}, {"64:ff9b::808:808", usual, true}, {"64:ff9b::a01:203", usual, true}, {"64:ff9b::a01:903", usual, false},
		{"64:ff9b::808:404", usual, false}, {"64:ff9b:1::808:808", usual, false}, {"2002:7f00:1::", usual, false}, {"2002:808:808::", usual, false},
		{"10.1.9.1", usual, false}, {"8.8.4.4", usual, false}, {"::ffff:8.8.4.4", usual, false},
		{"fd00::1", open, true}, {"2002:808:808::", open, true}, {"2002:7f00:1::", open, false}, {"64:ff9b::7f00:1", open, false},
		{"168.63.129.16", usual, false}, {"168.63.129.17", usual, true}, {"192.80.8.124", usual, false}, {"161.26.0.10", usual, false},
		{"192.31.196.1", usual, false}, {"192.175.48.1", usual, false}, {"100:0:0:1::1", usual, false}, {"4000::1", usual, false}, {"2620:4f:8000::1", usual, false},
		{"100.100.100.200", guard{allow: parsePrefixes("100.100.100.200/32")}, true}, {"100.100.100.200", guard{allow: parsePrefixes("100.100.100.0/24")}, false},
		{"2606:4700::1111", open, false}, {"127.0.0.1", open, false},
	}
	wide := guard{allow: parsePrefixes("0.0.0.0/0", "::/0", "100.100.100.200/32")} // all of it, and one address by name
	for _, address := range []string{"169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
		"::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fd00:ec2::254%eth0"} {
		tests = append(tests, struct {
			address string
			guard   guard
			want    bool
		}{address, wide, false})
	}
	for _, test := range tests {
		if got := test.guard.allowed(netip.MustParseAddr(test.address)); got != test.want {
			t.Errorf("%s with allow %v and deny %v: %v", test.address, test.guard.allow, test.guard.deny, got)
		}
	}
}
