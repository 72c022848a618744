#define _GNU_SOURCE /* RUSAGE_THREAD, sched_getaffinity */
#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "dicomloom/base.h"

dl_status dl_thread_start(dl_thread *thread, void *(*run)(void *), void *argument,
                          dl_error *error) {
    pthread_attr_t attributes;
    int failed = pthread_attr_init(&attributes);
    if (!failed) {
        /* Our threads keep their buffers on the heap; the 8 MiB default would only scare `ulimit
         * -v`. */
        (void)pthread_attr_setstacksize(&attributes, 256 * 1024);
        failed = pthread_create(thread, &attributes, run, argument);
        (void)pthread_attr_destroy(&attributes);
    }
    return failed ? dl_fail_os(error, failed, "cannot start a thread") : DL_OK;
}

bool dl_condition_wait_for(dl_condition *condition, dl_mutex *mutex, double seconds) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    double whole = (double)(int64_t)seconds;
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)((seconds - whole) * 1e9);
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return pthread_cond_timedwait(condition, mutex, &until) == 0;
}

double dl_monotonic_seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

uint64_t dl_thread_waits(void) {
#if defined(RUSAGE_THREAD)
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) == 0) return (uint64_t)usage.ru_nvcsw;
#endif
    return 0;
}

unsigned dl_processor_count(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}
