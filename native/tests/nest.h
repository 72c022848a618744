/* Sequences in sequences, and a stack that no recursion over them fits on. */
#ifndef DICOMLOOM_TESTS_NEST_H
#define DICOMLOOM_TESTS_NEST_H

#include "data_set.h"

enum { SEQUENCE = 0x00400275, STACK = 128 * 1024 };

typedef enum kind { UNDEFINED, DEFINED, UNDEFINED_ITEMS, INSIDE_UN, KINDS } kind;

/* `depth` sequences, each in the one item of the one around it. */
static inline void put_nest(writer *w, kind how, int depth) {
    dl_syntax outer = w->syntax;
    opened *open = calloc((size_t)depth * 2, sizeof *open);
    CHECK(open);
    for (int i = 0; i < depth; i++) {
        const char *vr = how == INSIDE_UN && i == 0 ? "UN" : "SQ";
        open[2 * i] = put_begin(w, SEQUENCE, vr, how == UNDEFINED || how == INSIDE_UN);
        if (how == INSIDE_UN) w->syntax = IMPLICIT;
        open[2 * i + 1] = put_item(w, how != DEFINED);
    }
    for (int i = 2 * depth; i-- > 0;) put_end(w, open[i]);
    w->syntax = outer;
    free(open);
}

static inline void run_on_small_stack(void *(*run)(void *), void *argument) {
#if defined(_WIN32) /* a thread there has no stack smaller than dl_thread_start gives */
    dl_thread thread;
    dl_error error;
    CHECK(dl_thread_start(&thread, run, argument, &error) == DL_OK);
    dl_thread_join(thread);
#else
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, run, argument) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    (void)pthread_attr_destroy(&attributes);
#endif
}

#endif
