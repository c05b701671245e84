#!/bin/sh
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

# The data remains, as that of a database does, and with it the user that owns it and the keys that
# it is encrypted with.
case "$1" in
purge | 0)
	rm -f /etc/hookwheel/.removed-enabled
	if [ -d /var/lib/hookwheel ]; then
		echo "Kept: the data in /var/lib/hookwheel, /etc/hookwheel/hookwheel.env and the user hookwheel."
	fi
	;;
esac
