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

void dl_thread_join(dl_thread thread) { (void)pthread_join(thread, NULL); }

bool dl_mutex_init(dl_mutex *mutex) { return pthread_mutex_init(mutex, NULL) == 0; }
void dl_mutex_destroy(dl_mutex *mutex) { (void)pthread_mutex_destroy(mutex); }
void dl_mutex_lock(dl_mutex *mutex) { (void)pthread_mutex_lock(mutex); }
void dl_mutex_unlock(dl_mutex *mutex) { (void)pthread_mutex_unlock(mutex); }

bool dl_condition_init(dl_condition *condition) {
#if defined(__APPLE__) /* has no clock to choose, but a wait that needs none */
    return pthread_cond_init(condition, NULL) == 0;
#else
    /* By default a wait ends by the wall clock, which somebody may set back by a day. */
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return false;
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(condition, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return made;
#endif
}

void dl_condition_destroy(dl_condition *condition) { (void)pthread_cond_destroy(condition); }
void dl_condition_wake_all(dl_condition *condition) { (void)pthread_cond_broadcast(condition); }

void dl_condition_wait(dl_condition *condition, dl_mutex *mutex) {
    (void)pthread_cond_wait(condition, mutex);
}

bool dl_condition_wait_for(dl_condition *condition, dl_mutex *mutex, double seconds) {
    double most = 1e9; /* thirty years: no time_t overflows */
    seconds = seconds > 0 ? (seconds < most ? seconds : most) : 0;
    struct timespec wait = {.tv_sec = (time_t)seconds};
    wait.tv_nsec = (long)((seconds - (double)wait.tv_sec) * 1e9);
#if defined(__APPLE__)
    return pthread_cond_timedwait_relative_np(condition, mutex, &wait) == 0;
#else
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait.tv_sec;
    until.tv_nsec += wait.tv_nsec;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return pthread_cond_timedwait(condition, mutex, &until) == 0;
#endif
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
