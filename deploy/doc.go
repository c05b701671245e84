// Package deploy holds what runs hookwheel in containers: a compose file, manifests for Kubernetes
// and a Helm chart. Its tests run the containers that these describe, in namespaces of their own.
package deploy
