package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"hookwheel/systemtest/wait"
)

// manifest is what the test needs to know of a StatefulSet.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		ServiceName string `yaml:"serviceName"`
		Replicas    int
		Template    struct {
			Spec struct{ Containers []podContainer }
		}
	}
}

type podContainer struct {
	Args           []string
	Env            []variable
	ReadinessProbe probe `yaml:"readinessProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
}

type probe struct {
	HTTPGet struct{ Path string } `yaml:"httpGet"`
}

type variable struct {
	Name, Value string
	ValueFrom   struct {
		FieldRef struct {
			FieldPath string `yaml:"fieldPath"`
		} `yaml:"fieldRef"`
		SecretKeyRef struct{ Key string } `yaml:"secretKeyRef"`
	} `yaml:"valueFrom"`
}

func readStatefulSet(t *testing.T) manifest {
	t.Helper()
	text, err := os.ReadFile("kubernetes/hookwheel.yaml")
	must(t, err)
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var m manifest
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			t.Fatal("there is no StatefulSet")
		} else if must(t, err); m.Kind == "StatefulSet" {
			return m
		}
	}
}

// statefulSet does what the controller of Kubernetes and the kubelet do.
type statefulSet struct {
	t       *testing.T
	network *network
	peers   int // that the environment lists
	certs   string
	volumes map[int]string
	pods    map[int]*pod
	manifest
}

func newStatefulSet(t *testing.T) *statefulSet {
	s := &statefulSet{t: t, network: newNetwork(t), certs: volume(t), volumes: make(map[int]string), pods: make(map[int]*pod), manifest: readStatefulSet(t)}
	s.peers = s.Spec.Replicas
	for _, args := range [][]string{{"cert", "ca", "--out", "/certs"}, append([]string{"cert", "node", "--ca", "/certs", "--out", "/certs"}, s.names(5)...)} {
		p := start(t, container{args: args, data: volume(t), certs: s.certs, writable: true})
		if <-p.Ended; p.Cmd.ProcessState.ExitCode() != 0 {
			t.Fatalf("%v failed", args)
		}
	}
	return s
}

func (s *statefulSet) name(ordinal int) string { return fmt.Sprint(s.Metadata.Name, "-", ordinal) }

func (s *statefulSet) podName(ordinal int) string {
	return s.name(ordinal) + "." + s.Spec.ServiceName + ".default.svc.cluster.local"
}

func (s *statefulSet) names(count int) (names []string) {
	for i := range count {
		names = append(names, s.name(i))
	}
	return names
}

// environment is that of a pod, as the manifest describes it.
func (s *statefulSet) environment(ordinal int) (env []string) {
	secret := map[string]string{"api-token": token, "cluster-secret": "0123456789abcdef0123456789abcdef"}
	expand := strings.NewReplacer("$(HOOKWHEEL_NODE)", s.name(ordinal))
	for _, v := range s.Spec.Template.Spec.Containers[0].Env {
		value := expand.Replace(v.Value)
		switch {
		case v.ValueFrom.FieldRef.FieldPath == "metadata.name":
			value = s.name(ordinal)
		case v.ValueFrom.SecretKeyRef.Key != "":
			value = secret[v.ValueFrom.SecretKeyRef.Key]
		case v.Name == "HOOKWHEEL_API_DRAIN":
			value = "100ms" // nothing balances load here
		case v.Name == "HOOKWHEEL_CLUSTER_PEER" && s.peers > s.Spec.Replicas: // as the chart does
			for i := s.Spec.Replicas; i < s.peers; i++ {
				value += fmt.Sprintf(",%s=%[1]s.%s:9071", s.name(i), s.Spec.ServiceName)
			}
		}
		if value != "" {
			env = append(env, v.Name+"="+value)
		}
	}
	return append(env, "HOOKWHEEL_DELIVERY_ALLOW="+gateway+"/32", "HOOKWHEEL_STORAGE_MIN_FREE=1")
}

// create starts a pod, at a new address, with the volume of its ordinal.
func (s *statefulSet) create(ordinal int) {
	s.t.Helper()
	if s.volumes[ordinal] == "" {
		s.volumes[ordinal] = volume(s.t)
	}
	s.pods[ordinal] = start(s.t, container{name: s.podName(ordinal),
		env: s.environment(ordinal), args: s.Spec.Template.Spec.Containers[0].Args, data: s.volumes[ordinal], certs: s.certs, network: s.network})
}

func (s *statefulSet) get(ordinal int, p probe) bool {
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get("http://" + s.pods[ordinal].address + ":8071" + p.HTTPGet.Path)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode < 300
}

func (s *statefulSet) isReady(ordinal int) bool {
	return s.get(ordinal, s.Spec.Template.Spec.Containers[0].ReadinessProbe)
}

func (s *statefulSet) awaitReady(ordinals ...int) {
	s.t.Helper()
	for _, i := range ordinals {
		wait.For(s.t, s.name(i)+" is ready", func() bool { return s.isReady(i) })
	}
}

// awaitWhole waits until hookwheel cluster status, in a pod, says that all is well.
func (s *statefulSet) awaitWhole(ordinal, members int) {
	s.t.Helper()
	var said string
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("cluster status: %s", said)
		}
	})
	wait.For(s.t, fmt.Sprint("a whole cluster of ", members), func() bool {
		out, err := s.pods[ordinal].exec(s.t.Context(), "/usr/bin/hookwheel", "cluster", "status")
		if said = out; err != nil {
			said += err.Error()
		}
		return err == nil && strings.Count(out, s.Metadata.Name+"-") >= members
	})
}

// update replaces all pods as a rolling update does: from the last, each after the one before is
// ready.
func (s *statefulSet) update() {
	s.t.Helper()
	for i := len(s.pods) - 1; i >= 0; i-- {
		s.pods[i].end(s.t)
		s.create(i)
		s.awaitReady(i)
	}
}

// load posts events all the time, to each node in turn, found by its name.
type load struct {
	stop, done   chan struct{}
	acknowledged []string
}

func (s *statefulSet) startLoad() *load {
	l := &load{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for round := 0; ; round++ {
			select {
			case <-l.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			address := s.network.find(s.podName(round % 3))
			c := &client{t: s.t, url: "http://" + address + ":8071", sent: round * 10}
			if id, _ := c.post(); id != "" {
				l.acknowledged = append(l.acknowledged, id)
			}
		}
	}()
	return l
}

func (l *load) end() []string {
	close(l.stop)
	<-l.done
	return l.acknowledged
}

// TestStatefulSet takes a cluster through what Kubernetes does to it, as the manifest describes
// it, with an address that changes at each start: it forms, is updated, scaled, loses a volume and
// stops as a whole, and delivers all that it has acknowledged.
func TestStatefulSet(t *testing.T) {
	if !alone(t) {
		return
	}
	s := newStatefulSet(t)
	r := newReceiver(t, gateway+":9000")
	// One after the other, as slow as they like: the first ones are alive, but not ready.
	liveness := s.Spec.Template.Spec.Containers[0].LivenessProbe
	for i := range 3 {
		s.create(i)
		wait.For(t, s.name(i)+" is alive", func() bool { return s.get(i, liveness) })
		if i < 2 && s.isReady(i) {
			t.Errorf("%s is ready before there can be a cluster", s.name(i))
		}
	}
	s.awaitReady(0, 1, 2)
	api := &client{t: t, url: "http://" + s.pods[0].address + ":8071"}
	api.setUp(r.URL)
	acknowledged := []string{api.mustPost()}

	l := s.startLoad()
	s.update()
	acknowledged = append(acknowledged, l.end()...)
	s.awaitWhole(0, 3)

	s.scaleUp()
	s.scaleDown()

	// All at once, and back in order.
	for i := range 3 {
		s.pods[i].leave()
	}
	for i := range 3 {
		s.pods[i].Stop(t)
		s.create(i)
	}
	s.awaitReady(0, 1, 2)

	// A volume is lost with its machine.
	s.pods[1].end(t)
	s.volumes[1] = ""
	s.create(1)
	s.awaitReady(1)
	s.awaitWhole(0, 3)
	api.url = "http://" + s.pods[1].address + ":8071"
	acknowledged = append(acknowledged, api.mustPost())
	t.Logf("%d events were acknowledged", len(acknowledged))
	await(t, r, acknowledged...)
}

// scaleUp goes from 3 to 5 nodes as docs/containers.md says.
func (s *statefulSet) scaleUp() {
	s.t.Helper()
	s.peers = 5
	s.create(3)
	s.create(4)
	for _, i := range []int{3, 4} {
		address := s.name(i) + "." + s.Spec.ServiceName + ":9071"
		wait.For(s.t, s.name(i)+" is admitted", func() bool {
			out, err := s.pods[0].exec(s.t.Context(), "/usr/bin/hookwheel", "cluster", "join", address)
			if err != nil {
				s.t.Logf("%s", out)
			}
			return err == nil
		})
	}
	s.awaitReady(3, 4)
	s.awaitWhole(0, 5)
	s.update()
	s.awaitWhole(0, 5)
}

// scaleDown goes back to 3.
func (s *statefulSet) scaleDown() {
	s.t.Helper()
	for _, i := range []int{4, 3} {
		s.pods[i].MayCrash = true // a removed node says that it can't go on
		out, err := s.pods[0].exec(s.t.Context(), "/usr/bin/hookwheel", "cluster", "remove", s.name(i))
		if err != nil {
			s.t.Fatalf("%v: %s", err, out)
		}
		<-s.pods[i].Ended // a removed node stops
		s.pods[i].leave()
		delete(s.pods, i)
		s.volumes[i] = ""
	}
	s.peers = 3
	s.update()
	s.awaitWhole(0, 3)
}
