# The configuration of this node, which systemd runs as hookwheel.service. As it is, the node runs
# alone and listens on this machine only. /usr/share/doc/hookwheel/config.example.hcl explains every
# setting, and shows how three nodes form a cluster.
#
# After a change, "hookwheel config check /etc/hookwheel/hookwheel.hcl" finds mistakes, and
# "systemctl reload hookwheel" or "systemctl restart hookwheel" applies it.

data = "/var/lib/hookwheel"

api {
  listen = "127.0.0.1:8071"

  # The token of the API is HOOKWHEEL_API_TOKEN in /etc/hookwheel/hookwheel.env, where the
  # installation generated it. Only root and the service can read that file.
}
