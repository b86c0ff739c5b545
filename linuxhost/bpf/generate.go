package bpf

//go:generate go tool bpf2go -tags linux -target bpfel -go-package bpf -no-global-types cgroup c/cgroup.bpf.c -- -O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu
//go:generate go tool bpf2go -tags linux -target bpfel -go-package bpf -no-global-types cgroupOfUser c/cgroup.bpf.c -- -O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu -DOF_USER
//go:generate go tool bpf2go -tags linux -target bpfel -go-package bpf -no-global-types lsm c/lsm.bpf.c -- -O2 -g -Wall -Werror -I/usr/include/x86_64-linux-gnu
