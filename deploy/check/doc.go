// Package check holds the files of deploy/ to what they promise: that each is what its
// format allows, strictly, and keeps Lethe's own rules. No engine, no cluster and no
// network are asked.
//
// # Decisions
//
// 2026-11-29. A module of its own: what parses Dockerfiles, Compose files and manifests
// has some hundred dependencies, none of which may come near the product.
//
// 2026-11-29. Manifests are decoded into the types of k8s.io/api by an own scheme of the
// groups that are used. The scheme of client-go has all groups and compiles for a
// minute longer.
//
// 2026-11-29. Manifests are rendered by kustomize's library, so that nothing needs to be
// installed; where kubectl is there, it has to render the same.
//
// 2026-11-29. There is no engine to build the image with. So the build stage's lines are
// carried out one by one on a copy of exactly what .dockerignore lets through, and what
// comes out is run as the image would run it: as its user, alone in an empty root. What
// that does not show: that the base images are there and have gcc, make and a libc to
// link statically.
//
// 2026-11-29. For the same reason Compose's services are run as processes of this machine,
// by their own command lines, scripts, secrets, configuration and probes, from the first
// token to a certificate. What that does not show: that their images do likewise.
//
// 2026-11-29. The filter of system calls is tried without systemd: the unit's sets are
// spelled out by systemd-analyze, loaded as the kernel's filter, and a whole erasure is
// run under it.
package check
