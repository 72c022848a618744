#include <assert.h>
#include <errno.h>
#include <process.h>
#include <stdlib.h>

#include "system_windows.h"

static_assert(sizeof(dl_mutex) == sizeof(SRWLOCK), "a dl_mutex is an SRWLOCK");
static_assert(sizeof(dl_condition) == sizeof(CONDITION_VARIABLE), "a dl_condition is one");

static SRWLOCK *lock_of(dl_mutex *mutex) { return (SRWLOCK *)&mutex->state; }
static CONDITION_VARIABLE *variable_of(dl_condition *condition) {
    return (CONDITION_VARIABLE *)&condition->state;
}

bool dl_mutex_init(dl_mutex *mutex) {
    InitializeSRWLock(lock_of(mutex));
    return true;
}
void dl_mutex_destroy(dl_mutex *mutex) { (void)mutex; }
void dl_mutex_lock(dl_mutex *mutex) { AcquireSRWLockExclusive(lock_of(mutex)); }
void dl_mutex_unlock(dl_mutex *mutex) { ReleaseSRWLockExclusive(lock_of(mutex)); }

bool dl_condition_init(dl_condition *condition) {
    InitializeConditionVariable(variable_of(condition));
    return true;
}
void dl_condition_destroy(dl_condition *condition) { (void)condition; }
void dl_condition_wake_all(dl_condition *condition) {
    WakeAllConditionVariable(variable_of(condition));
}
void dl_condition_wait(dl_condition *condition, dl_mutex *mutex) {
    (void)SleepConditionVariableSRW(variable_of(condition), lock_of(mutex), INFINITE, 0);
}
bool dl_condition_wait_for(dl_condition *condition, dl_mutex *mutex, double seconds) {
    double most = INFINITE / 1000 - 1;
    seconds = seconds > 0 ? (seconds < most ? seconds : most) : 0;
    /* Rounded up: a wait that is too short by less than a millisecond would be a busy one. */
    DWORD wait = (DWORD)(seconds * 1000 + 0.999);
    return SleepConditionVariableSRW(variable_of(condition), lock_of(mutex), wait, 0) != 0;
}

/* What a new thread runs; it frees this. */
typedef struct beginning {
    void *(*run)(void *);
    void *argument;
} beginning;

static unsigned __stdcall begin(void *context) {
    beginning b = *(beginning *)context;
    free(context);
    (void)b.run(b.argument);
    return 0;
}

dl_status dl_thread_start(dl_thread *thread, void *(*run)(void *), void *argument,
                          dl_error *error) {
    beginning *b = malloc(sizeof *b);
    if (!b) return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
    *b = (beginning){run, argument};
    /* As elsewhere, 256 KiB of stack are enough. */
    uintptr_t handle =
        _beginthreadex(NULL, 256 * 1024, begin, b, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (!handle) {
        int reason = errno;
        free(b);
        return dl_fail_os(error, reason, "cannot start a thread");
    }
    *thread = (void *)handle;
    return DL_OK;
}

void dl_thread_join(dl_thread thread) {
    (void)WaitForSingleObject(thread, INFINITE);
    (void)CloseHandle(thread);
}

double dl_monotonic_seconds(void) {
    LARGE_INTEGER frequency, now;
    (void)QueryPerformanceFrequency(&frequency);
    (void)QueryPerformanceCounter(&now);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

uint64_t dl_thread_waits(void) { return 0; }

unsigned dl_processor_count(void) {
    DWORD_PTR own = 0, all = 0;
    unsigned count = 0;
    /* 0 for a process on several groups of 64 processors. */
    if (GetProcessAffinityMask(GetCurrentProcess(), &own, &all))
        for (; own; own &= own - 1) count++;
    if (count == 0) count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return count ? count : 1;
}
