/* Runs a command and reports what it took, from outside.
 *
 *     measure REPORT COMMAND [ARGUMENT ...]
 *
 * Writes one line of JSON to REPORT: wall and processor seconds, peak resident memory, bytes asked
 * of the system by read calls, exit code. A program of its own because a child inherits the peak
 * memory of the process that forked it: this one has next to none.
 *
 *     cc -O2 measure.c -o measure */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

/* Of a child that has ended and is not yet reaped; -1 where the system does not say. */
static void read_io(pid_t pid, long long *asked, long long *calls) {
    char path[64], line[128];
    *asked = *calls = -1;
    snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    FILE *in = fopen(path, "r");
    if (!in) return;
    while (fgets(line, sizeof line, in)) {
        (void)sscanf(line, "rchar: %lld", asked);
        (void)sscanf(line, "syscr: %lld", calls);
    }
    fclose(in);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: measure REPORT COMMAND [ARGUMENT ...]\n");
        return 2;
    }
    double began = now();
    pid_t pid = fork();
    if (pid < 0) return perror("measure: fork"), 1;
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    siginfo_t ended;
    if (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT) != 0) return perror("measure"), 1;
    double wall = now() - began;
    long long asked, calls;
    read_io(pid, &asked, &calls);
    int status;
    struct rusage usage;
    if (wait4(pid, &status, 0, &usage) != pid) return perror("measure: wait4"), 1;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    FILE *report = fopen(argv[1], "w");
    if (!report) return perror(argv[1]), 1;
    fprintf(report,
            "{\"wall\": %.6f, \"user\": %.6f, \"system\": %.6f, \"peak_kib\": %ld, "
            "\"read_bytes\": %lld, \"read_calls\": %lld, \"code\": %d}\n",
            wall, seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss, asked, calls,
            code);
    return fclose(report) == 0 ? 0 : 1;
}
