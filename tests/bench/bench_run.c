/* bench_run.c - runs a command N times, its output thrown away: the best wall time and the best processor time (user and system), in milliseconds.
 *
 * Usage: bench_run N COMMAND [ARG …]. Prints "WALL CPU". A command that does not exit with 0 ends it. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double timeval_ms(struct timeval t) { return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3; }

int main(int argc, char **argv)
{
    int times = argc > 2 ? atoi(argv[1]) : 0;
    if (times < 1) return fprintf(stderr, "usage: bench_run N COMMAND [ARG ...]\n"), 2;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    double best_wall = 1e18, best_cpu = 1e18;
    for (int i = 0; i < times; i++) {
        struct rusage usage;
        pid_t pid;
        int status;
        double from = wall_ms();
        if (posix_spawnp(&pid, argv[2], &actions, NULL, argv + 2, environ)) return perror(argv[2]), 1;
        if (wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
            return fprintf(stderr, "bench_run: %s did not exit with 0\n", argv[2]), 1;
        double wall = wall_ms() - from, cpu = timeval_ms(usage.ru_utime) + timeval_ms(usage.ru_stime);
        best_wall = wall < best_wall ? wall : best_wall;
        best_cpu = cpu < best_cpu ? cpu : best_cpu;
    }
    posix_spawn_file_actions_destroy(&actions);
    printf("%.3f %.3f\n", best_wall, best_cpu);
    return 0;
}
