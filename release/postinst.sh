#!/bin/sh
set -e

# dpkg calls this with "configure" and the version that was configured before, even if that was
# removed meanwhile, and with "abort-remove" if it can't be removed; rpm with the number of versions
# that are installed now.
case "$1" in
configure) previous=$2 ;;
abort-remove) previous=some ;;
1) previous= ;;
2) previous=some ;;
*) exit 0 ;;
esac

if ! getent passwd hookwheel >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/hookwheel --shell /usr/sbin/nologin hookwheel
fi
if [ ! -e /var/lib/hookwheel ]; then
	install -d -m 0700 -o hookwheel -g hookwheel /var/lib/hookwheel
fi
chgrp hookwheel /etc/hookwheel
if [ -e /etc/hookwheel/hookwheel.hcl ]; then # dpkg does not bring back what an operator has deleted
	chgrp hookwheel /etc/hookwheel/hookwheel.hcl
fi

environment=/etc/hookwheel/hookwheel.env
if [ ! -e $environment ]; then
	token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	temporary=$(mktemp $environment.XXXXXX)
	cat >"$temporary" <<EOF
# Environment variables of hookwheel.service. They take precedence over hookwheel.hcl.

# What callers of the API present as their bearer token.
HOOKWHEEL_API_TOKEN=$token

# The key that encrypts secrets of endpoints, the same on all nodes. Generate it with
# "openssl rand -hex 32", and keep a copy elsewhere: without it a backup is of no use.
# HOOKWHEEL_ENCRYPTION_KEYS=
EOF
	chgrp hookwheel "$temporary"
	chmod 0640 "$temporary"
	sync "$temporary"
	mv "$temporary" $environment
	echo "The token of Hookwheel's API is in $environment."
fi

removed=/etc/hookwheel/.removed-enabled
if [ -e $removed ]; then
	previous=
	rm $removed
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ -n "$previous" ]; then
		systemctl try-restart hookwheel.service || echo "Hookwheel did not restart; see: journalctl -u hookwheel"
	elif [ "$1" = configure ] || [ "$1" = abort-remove ]; then # by the policy of Debian; that of Fedora leaves it to the operator
		systemctl enable hookwheel.service
		systemctl start hookwheel.service || echo "Hookwheel did not start; see: journalctl -u hookwheel"
	fi
fi
