/* Tries what native code could try, one line an attempt: its name, then "escaped" or the number of the error that stopped it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/un.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result) {
  if (result < 0) printf("%s %d\n", name, errno);
  else printf("%s escaped\n", name);
}

static int many(const char *what) {
  int count = 0;
  if (!strcmp(what, "forks")) {
    while (count < 500) {
      pid_t pid = fork();
      if (pid < 0) break;
      if (pid == 0) { pause(); _exit(0); }
      count++;
    }
  } else if (!strcmp(what, "descriptors")) {
    while (count < 500 && open("/dev/null", O_RDONLY) >= 0) count++;
  } else {
    while (count < 2000) {
      char *block = malloc(1 << 20);
      if (!block) break;
      memset(block, 1, 1 << 20);
      count++;
    }
  }
  return count;
}

static int reach(const char *path, int length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, path, length);
  return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + length);
}

static int fill_disk(void) {
  static char block[1 << 20];
  int count = 0;
  signal(SIGXFSZ, SIG_IGN);
  for (int file = 0; file < 4; file++) {
    char name[16];
    snprintf(name, sizeof name, "/tmp/%d", file);
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    while (count < 500 && write(fd, block, sizeof block) == sizeof block) count++;
    close(fd);
  }
  return count;
}

int main(void) {
  static char stack[65536];
  char arguments[128] = {0};
  int line = 0x41;
  setvbuf(stdout, NULL, _IONBF, 0);
  printf("fds");
  for (int fd = 0; fd < 300; fd++) {
    struct stat st;
    if (fstat(fd, &st) == 0) printf(" %d:%s", fd, S_ISSOCK(st.st_mode) ? "socket" : S_ISCHR(st.st_mode) && st.st_rdev == 0x103 ? "null" : "other");
  }
  printf("\n");
  say("inet-socket", socket(AF_INET, SOCK_STREAM, 0));
  say("inet6-socket", socket(AF_INET6, SOCK_DGRAM, 0));
  say("netlink-socket", socket(AF_NETLINK, SOCK_RAW, 0));
  say("packet-socket", socket(AF_PACKET, SOCK_RAW, 0));
  say("vsock-socket", socket(40, SOCK_STREAM, 0));
  say("read-passwd", open("/etc/passwd", O_RDONLY));
  say("read-proc", open("/proc/self/environ", O_RDONLY));
  say("read-sys", open("/sys/kernel", O_RDONLY));
  say("write-root", open("/dropped", O_WRONLY | O_CREAT, 0600));
  say("write-self", open("/plugin/artifact", O_WRONLY));
  say("write-dev", open("/dev/dropped", O_WRONLY | O_CREAT, 0600));
  say("open-disk", open("/dev/vda", O_RDONLY));
  say("unshare-user", unshare(CLONE_NEWUSER));
  say("unshare-mount", unshare(CLONE_NEWNS));
  say("clone-user", clone((int (*)(void *))pause, stack + sizeof stack, CLONE_NEWUSER | SIGCHLD, NULL));
  say("clone3", syscall(SYS_clone3, arguments, sizeof arguments));
  say("setns", setns(0, 0));
  say("mount", mount("none", "/tmp", "tmpfs", 0, ""));
  say("remount", mount("none", "/", NULL, MS_REMOUNT | MS_BIND, NULL));
  say("open-tree", syscall(428, -1, "/", 0));
  say("chroot", chroot("/tmp"));
  say("ptrace-init", ptrace(PTRACE_SEIZE, 1, 0, 0));
  say("read-init-memory", syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
  say("keyctl", syscall(SYS_keyctl, 0, -3, 0));
  say("bpf", syscall(SYS_bpf, 0, arguments, sizeof arguments));
  say("perf", syscall(SYS_perf_event_open, arguments, 0, -1, -1, 0));
  say("userfaultfd", syscall(SYS_userfaultfd, 0));
  say("io-uring", syscall(425, 4, arguments));
  say("alg-socket", socket(38, SOCK_SEQPACKET, 0));
  say("bluetooth-socket", socket(31, SOCK_RAW, 0));
  say("xdp-socket", socket(44, SOCK_RAW, 0));
  say("inet-pair", socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0, 0}));
  say("unix-socket", reach("/run/systemd/private", 21));
  say("abstract-socket", reach("\0lattice-test", 13));
  say("add-key", syscall(SYS_add_key, "user", "name", "x", 1, -3));
  say("request-key", syscall(SYS_request_key, "user", "name", NULL, -3));
  say("steal-descriptor", syscall(438, 0, 0, 0));
  say("open-by-handle", syscall(SYS_open_by_handle_at, -1, arguments, 0));
  say("fanotify", syscall(SYS_fanotify_init, 0, 0));
  say("kernel-log", syscall(SYS_syslog, 3, arguments, sizeof arguments));
  say("load-module", syscall(SYS_init_module, arguments, 1, ""));
  say("set-clock", syscall(SYS_clock_settime, 0, &(struct timespec){0, 0}));
  say("pivot-root", syscall(SYS_pivot_root, ".", "."));
  say("make-device", mknod("/tmp/device", S_IFBLK | 0600, 0xfe00));
  say("memory-file", memfd_create("x", 0));
  say("shared-memory", shmget(IPC_PRIVATE, 1 << 28, IPC_CREAT | 0600));
  say("message-queue", msgget(IPC_PRIVATE, IPC_CREAT | 0600));
  say("semaphores", semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
  say("real-time", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}));
  say("real-time-disk", syscall(SYS_ioprio_set, 1, 0, 1 << 13));
  say("setuid-root", setuid(0));
  say("set-hostname", sethostname("x", 1));
  say("type-into-terminal", ioctl(0, 0x5412, &line));
  say("raise-limit", setrlimit(RLIMIT_NOFILE, &(struct rlimit){4096, 4096}));
  say("raise-priority", setpriority(PRIO_PROCESS, 0, -5));
  say("kill-everybody", kill(-1, 0) == 0 && getpid() > 3 ? 0 : (errno = ESRCH, -1));
  printf("disk %d\n", fill_disk());
  printf("descriptors %d\n", many("descriptors"));
  printf("mebibytes %d\n", many("memory"));
  printf("forks %d\n", many("forks"));
  printf("done\n");
  if (fork() == 0) { setsid(); if (fork() == 0) for (;;) {} _exit(0); }
  for (;;) {}
}
