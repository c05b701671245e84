#!/bin/sh
set -e

# dpkg says "remove", rpm the number of versions that remain.
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		if [ "$1" = remove ] && systemctl --quiet is-enabled hookwheel.service; then
			touch /etc/hookwheel/.removed-enabled # so that installing it again starts it
		fi
		systemctl --quiet disable hookwheel.service
		systemctl stop hookwheel.service
	fi
	;;
esac
