// A plugin of the stdio-json-v1 protocol: the method says what it does, the payload of some is text written as hex.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;
static char request[4 << 20], text[2 << 20], answers[2 << 20];

static int is(const char *method) {
  char key[64];
  snprintf(key, sizeof key, "\"method\":\"%s\"", method);
  return strstr(request, key) != NULL;
}

static void decode_payload(void) {
  const char *at = strstr(request, "\"payload\":\"");
  char *to = text;
  unsigned byte;
  for (at = at ? at + 11 : ""; sscanf(at, "%2x", &byte) == 1; at += 2) *to++ = (char)byte;
  *to = 0;
}

static int responses(void) { return atoi(getenv("LATTICE_HOST_RESPONSE_FD")); }

static int read_answer(char *to) {
  int length = 0;
  char each;
  while (read(responses(), &each, 1) == 1 && each != '\n') to[length++] = each;
  return length;
}

// Each line of the text goes out, and its answer is awaited.
static void ask(void) {
  char *to = answers;
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    printf("%s\n", line);
    fflush(stdout);
    if (to != answers) *to++ = ',';
    to += read_answer(to);
  }
  *to = 0;
  printf("{\"ok\":true,\"result\":[%s]}\n", answers);
}

static const char *kind_of(mode_t mode) {
  return S_ISFIFO(mode) ? "pipe" : S_ISSOCK(mode) ? "socket" : S_ISCHR(mode) ? "device" : S_ISREG(mode) ? "file" : "other";
}

static void list_descriptors(void) {
  const char *comma = "";
  printf("{\"ok\":true,\"result\":[");
  for (int fd = 0; fd < 1024; fd++) {
    struct stat found;
    if (fstat(fd, &found)) continue;
    int flags = fcntl(fd, F_GETFL) & O_ACCMODE;
    printf("%s\"%d %s %s\"", comma, fd, kind_of(found.st_mode), flags == O_RDONLY ? "read" : flags == O_WRONLY ? "write" : "both");
    comma = ",";
  }
  printf("]}\n");
}

static void show_environment(void) {
  char folder[256];
  printf("{\"ok\":true,\"result\":{\"cwd\":\"%s\",\"env\":[", getcwd(folder, sizeof folder) ? folder : "?");
  for (char **each = environ; *each; each++) printf("%s\"%s\"", each == environ ? "" : ",", *each);
  printf("]}}\n");
}

static int try_socket(int family, int type) {
  int fd = socket(family, type, 0);
  if (fd < 0) return errno;
  struct sockaddr_un_abstract { sa_family_t family; char path[16]; } name = {AF_UNIX, "\0lattice"};
  return connect(fd, (void *)&name, sizeof name) ? errno : 0;
}

static void attack(void) {
  char path[32];
  int written = write(responses(), "x", 1) < 0 ? errno : 0;
  snprintf(path, sizeof path, "/proc/self/fd/%d", responses());
  int reopened = open(path, O_WRONLY) < 0 ? errno : 0;
  int passwd = open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
  int self = open("/plugin/artifact", O_WRONLY) < 0 ? errno : 0;
  printf("{\"ok\":true,\"result\":{\"inet\":%d,\"inet6\":%d,\"packet\":%d,\"unix\":%d,\"write_pipe\":%d,\"reopen_pipe\":%d,\"passwd\":%d,\"self\":%d}}\n",
         try_socket(AF_INET, SOCK_STREAM), try_socket(AF_INET6, SOCK_DGRAM), try_socket(AF_PACKET, SOCK_RAW), try_socket(AF_UNIX, SOCK_STREAM),
         written, reopened, passwd, self);
}

static void read_neighbour(void) {
  char line[128] = "";
  FILE *file = fopen("data/notes.txt", "r");
  if (file) fgets(line, sizeof line, file);
  printf("{\"ok\":true,\"result\":{\"notes\":\"%s\",\"write\":%d,\"ui\":%d}}\n", line, open("data/notes.txt", O_WRONLY) < 0 ? errno : 0,
         access("ui/index.html", F_OK) ? errno : 0);
}

static void scatter(void) {
  for (int count = 0; count < 3; count++) {
    if (fork()) continue;
    setsid();
    if (fork()) _exit(0);
    signal(SIGTERM, SIG_IGN);
    for (;;) pause();
  }
}

static void flood(FILE *to) {
  for (int line = 0; line < 40000; line++) fprintf(to, to == stdout ? "%55s\n" : "%055s\n", "");
  fflush(to);
}

static void say_started(void) {
  fprintf(stderr, "started\n");
  fflush(stderr);
}

int main(void) {
  size_t length = fread(request, 1, sizeof request - 1, stdin);
  while (length && request[length - 1] == '\n') request[--length] = 0;
  decode_payload();
  if (is("ask")) return ask(), 0;
  if (is("say")) return fputs(text, stdout), 0;
  if (is("descriptors")) return list_descriptors(), 0;
  if (is("environment")) return show_environment(), 0;
  if (is("attack")) return attack(), 0;
  if (is("neighbour")) return read_neighbour(), 0;
  if (is("leave")) return 78;
  if (is("crash")) abort();
  if (is("silent")) return 0;
  if (is("floodStdout")) flood(stdout);
  if (is("floodStderr")) flood(stderr);
  if (is("hang")) for (say_started();;) pause();
  if (is("scatterAndHang")) for (scatter(), say_started();;) pause();
  if (is("scatter")) scatter();
  if (is("unread") || is("neverRead")) fputs(text, stdout), fflush(stdout);
  if (is("neverRead")) for (;;) pause();
  if (is("closedPipe")) close(responses()), fputs(text, stdout);
  printf("{\"ok\":true,\"result\":%s}\n", request);
  fflush(stdout);
  if (is("linger")) for (;;) pause();
  if (is("chatter")) flood(stdout);
  return is("noisyEnd") ? 5 : 0;
}
