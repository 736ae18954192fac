/* redis_server.h - a Redis of the test's own: a unix socket in a fresh folder, no port, nothing on disk. Killed, stopped and started at will.
 * Without redis-server on this machine redis_available() says so, and the test is skipped with a line.
 */
#ifndef TESTS_REDIS_SERVER_H
#define TESTS_REDIS_SERVER_H
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char redis_folder[] = "/tmp/flow_redis_XXXXXX";
static char redis_socket[64], redis_url[80];
static pid_t redis_pid;

static bool redis_available(const char *test)
{
    if (system("command -v redis-server >/dev/null 2>&1") == 0) return true;
    printf("%s: skipped, there is no redis-server here\n[  PASSED  ] 0 test(s).\n", test);
    return false;
}

static int redis_connect(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", redis_socket);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

/* One inline command on a connection of its own; the beginning of the answer. */
static const char *redis_say(const char *command)
{
    static char answer[4096];
    int fd = redis_connect();
    ssize_t len = -1;
    if (fd >= 0 && write(fd, command, strlen(command)) > 0 && write(fd, "\r\n", 2) == 2) len = read(fd, answer, sizeof answer - 1);
    if (fd >= 0) close(fd);
    answer[len > 0 ? len : 0] = '\0';
    return answer;
}

/* Returns when it answers; it dies with this process. */
static void redis_start(const char *option, const char *value)
{
    if (!redis_socket[0]) {
        if (!mkdtemp(redis_folder)) abort();
        snprintf(redis_socket, sizeof redis_socket, "%s/socket", redis_folder);
        snprintf(redis_url, sizeof redis_url, "unix:%s", redis_socket);
    }
    redis_pid = fork();
    if (redis_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", redis_socket, "--save", "", "--appendonly", "no", "--dir", redis_folder, "--logfile", "log",
               "--daemonize", "no", option, value, (char *)NULL);
        _exit(127);
    }
    for (int tries = 0; tries < 2000; tries++) {
        const char *answer = redis_say("PING");
        if (strncmp(answer, "+PONG", 5) == 0 || strncmp(answer, "-NOAUTH", 7) == 0) return;
        nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    }
    fprintf(stderr, "redis-server does not answer\n");
    abort();
}

static void redis_kill(void)
{
    if (redis_pid <= 0) return;
    kill(redis_pid, SIGKILL);
    waitpid(redis_pid, NULL, 0);
    redis_pid = 0;
}

static int redis_remove(void)
{
    char command[80];
    redis_kill();
    snprintf(command, sizeof command, "rm -rf %s", redis_folder);
    return system(command);
}
#endif
