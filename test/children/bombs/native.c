// Speaks just enough of the protocol to be armed, then does what the called method names. Only to be run in the cage.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char line[1 << 20];

static void note(const char *text) {
  if (write(2, text, strlen(text)) < 0) _exit(1);
}

static void answer(const char *result) {
  const char *id = strstr(line, "\"id\":");
  printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":%s}\n", id ? strtol(id + 5, NULL, 10) : 0, result);
  fflush(stdout);
}

static int calls(const char *method) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "\"method\":\"%s\"", method);
  return strstr(line, wanted) != NULL;
}

static void bomb_with_forks(void) {
  int refused = 0;
  for (;;) {
    if (fork() >= 0 || refused) continue;
    refused = 1;
    note(errno == EAGAIN ? "no more processes\n" : "fork failed\n");
  }
}

/** Forks children that live on beside it, until it is refused, and goes on answering. */
static void fork_idlers(void) {
  char result[32];
  int count = 0;
  for (;; count++) {
    pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      signal(SIGTERM, SIG_IGN);
      setsid();
      for (;;) pause();
    }
  }
  snprintf(result, sizeof result, "%d", count);
  answer(result);
}

static void take_memory(void) {
  for (int mebibytes = 0;; mebibytes++) {
    char *block = malloc(1 << 20);
    if (block == NULL) {
      char text[64];
      snprintf(text, sizeof text, "refused after %d MiB\n", mebibytes);
      note(text);
      abort();
    }
    memset(block, 1, 1 << 20);
  }
}

int main(void) {
  while (fgets(line, sizeof line, stdin)) {
    if (calls("initialize")) answer("{\"protocol\":1}");
    else if (calls("forkBomb")) bomb_with_forks();
    else if (calls("idlers")) fork_idlers();
    else if (calls("memory")) take_memory();
    else if (calls("crash")) abort();
    else if (calls("leave")) return 3;
    else if (calls("stray")) {
      printf("hello from C\n");
      answer("null");
    } else answer("{}");
  }
  return 0;
}
