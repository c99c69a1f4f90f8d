/* A native plugin that speaks just enough of the protocol, and leaves processes behind in every way it knows. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void linger(void) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  for (;;) pause();
}

static void spin(void) {
  signal(SIGTERM, SIG_IGN);
  for (;;);
}

/* A plain child, one in a session of its own, a daemon by double fork and one that is busy: all hold the pipes. */
static void scatter(void) {
  if (fork() == 0) linger();
  if (fork() == 0) {
    setsid();
    linger();
  }
  pid_t between = fork();
  if (between == 0) {
    setsid();
    if (fork() == 0) linger();
    _exit(0);
  }
  if (fork() == 0) spin();
  fprintf(stderr, "scattered\n");
}

int main(void) {
  static char line[1 << 20];
  while (fgets(line, sizeof line, stdin)) {
    char *id = strstr(line, "\"id\":");
    long number = id ? strtol(id + 5, NULL, 10) : 0;
    if (strstr(line, "\"method\":\"scatter\"")) scatter();
    if (strstr(line, "\"method\":\"leave\"")) exit(3);
    if (strstr(line, "\"method\":\"deafen\"")) signal(SIGTERM, SIG_IGN);
    if (strstr(line, "\"method\":\"spin\"")) {
      fprintf(stderr, "spinning\n");
      spin();
    }
    if (id) printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"protocol\":1}}\n", number);
    fflush(stdout);
  }
  return 0;
}
