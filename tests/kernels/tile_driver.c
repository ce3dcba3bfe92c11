/* Holds the functions of the C tiles to naive loops, without Python: for arm64 under an emulator, and for the host.
 *
 *     tile_driver            every instruction set that this build and this CPU have
 *     tile_driver baseline   one of them
 *
 * Inputs are small whole numbers, so that every sum is exact in whatever order it is made, and results are compared bit
 * for bit; but for those that are divided, which are compared to a rounding. Inputs are as long as they must be and no
 * longer, outputs start as NaN and lie between guards.
 *
 * tile_checks.h holds the table of the checks, for either precision.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tile.h"
#include "tile_tasks.h"

#define GUARD 64 /* numbers before and behind every output that must stay as they are */

static const char *now = "";   /* the function that is being checked, */
static ptrdiff_t cases, wrong; /* what was compared so far, and how much of it differed */

static uint32_t drawn = 1;

/* The next of a fixed row of random numbers, 0 <= it < n (xorshift). */
static ptrdiff_t draw(ptrdiff_t n) {
    drawn ^= drawn << 13;
    drawn ^= drawn >> 17;
    drawn ^= drawn << 5;
    return (ptrdiff_t)(drawn % (uint32_t)n);
}

static void *memory(size_t bytes) {
    void *p = malloc(bytes);
    if (!p) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(2);
    }
    return p;
}

static void expect(int right, const char *what, ptrdiff_t at) {
    if (right) return;
    if (wrong++ < 20) fprintf(stderr, "%s: wrong %s at %td\n", now, what, at);
}

/* A convolution of one image as tile.h describes it: its tables of offsets, and how long an image is. */
struct layer {
    ptrdiff_t pixels[2], kernel[2], channels, filters, stride, dilation, window;
};

#define ROOM 4096
static ptrdiff_t pix[ROOM], seg[ROOM];

/* The tables of `l`. With dilation a segment is one pixel's channels, without it a whole kernel row. Returns the length
 * of the image. Windows of `window` pixels lie in a row, which is all that the tiles ask of them. */
static ptrdiff_t describe(const struct layer *l, struct tile_patches *p) {
    const ptrdiff_t H = (l->pixels[0] - 1) * l->stride + (l->kernel[0] - 1) * l->dilation + 1;
    const ptrdiff_t W = (l->pixels[1] - 1) * l->stride + (l->kernel[1] - 1) * l->dilation + 1;
    const ptrdiff_t columns = l->dilation == 1 ? 1 : l->kernel[1];
    *p = (struct tile_patches){.pix = pix,
                               .npix = l->pixels[0] * l->pixels[1],
                               .seg = seg,
                               .nseg = l->kernel[0] * columns,
                               .seglen = l->kernel[1] / columns * l->channels,
                               .window = l->window};
    for (ptrdiff_t i = 0; i < p->npix; i++)
        pix[i] = (i / l->pixels[1] * l->stride * W + i % l->pixels[1] * l->stride) * l->channels;
    for (ptrdiff_t s = 0; s < p->nseg; s++) seg[s] = (s / columns * W + s % columns) * l->dilation * l->channels;
    return H * W * l->channels;
}

/* Every remainder of pixels and filters that a tile can leave, and sizes beyond what is gone over in one piece: of
 * accumulators (more than 1,024 pixels), of weights (patches of more than 1,024 numbers). */
static const struct layer LAYERS[] = {
    {{1, 1}, {1, 1}, 1, 1, 1, 1, 1},   {{1, 2}, {2, 3}, 1, 3, 1, 1, 2},   {{3, 1}, {3, 2}, 2, 5, 1, 1, 3},
    {{2, 2}, {3, 3}, 3, 8, 1, 1, 4},   {{5, 1}, {1, 4}, 4, 9, 2, 1, 5},   {{2, 3}, {2, 2}, 5, 16, 1, 2, 2},
    {{7, 1}, {5, 1}, 3, 17, 3, 1, 7},  {{2, 4}, {3, 2}, 2, 31, 1, 3, 8},  {{3, 3}, {3, 3}, 7, 32, 1, 1, 9},
    {{2, 5}, {1, 1}, 9, 33, 1, 1, 5},  {{11, 1}, {2, 2}, 1, 4, 1, 1, 11}, {{3, 4}, {3, 3}, 8, 7, 2, 2, 4},
    {{13, 1}, {1, 3}, 2, 6, 1, 1, 1},  {{2, 7}, {3, 3}, 1, 13, 1, 1, 7},  {{5, 5}, {2, 1}, 3, 65, 1, 1, 5},
    {{4, 24}, {3, 3}, 2, 10, 1, 1, 6}, {{97, 1}, {1, 2}, 3, 2, 1, 1, 97}, {{40, 40}, {3, 3}, 1, 11, 1, 1, 4},
    {{3, 5}, {5, 5}, 64, 6, 1, 1, 3},  {{3, 3}, {4, 1}, 600, 5, 1, 1, 3},
};
#define COUNT(array) ((ptrdiff_t)(sizeof(array) / sizeof(*(array))))

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

#define REAL float
#define NAME(f) JOIN(f, f32)
#define FUNCTIONS struct tile_functions_f32
#define ROUNDING_f32 1e-4
#include "tile_checks.h"
#undef REAL
#undef NAME
#undef FUNCTIONS

#define REAL double
#define NAME(f) JOIN(f, f64)
#define FUNCTIONS struct tile_functions_f64
#define ROUNDING_f64 1e-12
#include "tile_checks.h"

static void check_scratch(const struct tile_table *t) {
    now = "scratch";
    char *first = t->scratch(0, 1000), *second = t->scratch(1, 10);
    expect((uintptr_t)first % 64 == 0 && (uintptr_t)second % 64 == 0, "alignment", 0);
    memset(first, 1, 1000);
    memset(second, 2, 10);
    expect(t->scratch(0, 1000) == first && first[999] == 1, "memory on the second call", 0);
    memset(t->scratch(0, 100000), 3, 100000);
    expect(second[9] == 2, "memory of another slot", 1);
    cases++;
}

static void check_denormals(const struct tile_table *t) {
#if defined(__x86_64__) || defined(__aarch64__)
    now = "flush_denormals";
    volatile float tiny = 1e-37f, small = 1e-3f, product;
    const unsigned long state = t->flush_denormals();
    product = tiny * small;
    expect(product == 0, "product: not flushed", 0);
    t->restore_denormals(state);
    product = tiny * small;
    expect(product > 0, "product: flushed after restore", 0);
    cases++;
#else
    (void)t;
#endif
}

/* Threads one after the other: the first leaves a task of its own, and the last has to take over what is left. */
static void check_tasks(ptrdiff_t tasks, int threads, int absent) {
    struct tile_share shares[8];
    ptrdiff_t left = tasks, taken[32] = {0}, task;
    now = "tile_next_task";
    tile_share_out(shares, tasks, threads);
    for (int thread = 0; thread < threads - absent; thread++) {
        const ptrdiff_t first = tasks * thread / threads, end = tasks * (thread + 1) / threads;
        for (ptrdiff_t i = first; i < end - (thread == 0); i++, left--) {
            task = tile_next_task(shares, threads, thread);
            expect(task == i, "task of a thread's own", i);
            taken[i]++;
        }
    }
    while ((task = tile_next_task(shares, threads, threads - absent - 1)) >= 0) {
        expect(task < tasks && left-- > 0, "task taken over", task);
        if (task < tasks) taken[task]++;
    }
    for (ptrdiff_t i = 0; i < tasks; i++) expect(taken[i] == 1, "number of times that it was done, of task", i);
    for (int thread = 0; thread < threads; thread++)
        expect(tile_next_task(shares, threads, thread) == -1, "task where none is left", thread);
    cases++;
}

int main(int argc, char **argv) {
    static const char *const isas[] = {"avx512", "avx2", "baseline"};
    int found = 0;
    for (ptrdiff_t i = 0; i < COUNT(isas); i++) {
        const struct tile_table *t = argc < 2 || !strcmp(argv[1], isas[i]) ? tile_select(isas[i]) : NULL;
        if (!t) continue;
        found++;
        cases = 0;
        check_scratch(t);
        check_denormals(t);
        run_checks_f32(&t->f32);
        run_checks_f64(&t->f64);
        printf("%s: %td comparisons\n", t->isa, cases);
    }
    for (ptrdiff_t tasks = 0; tasks < 32; tasks++)
        for (int threads = 1; threads <= 8; threads++)
            for (int absent = 0; absent < threads; absent++) check_tasks(tasks, threads, absent);
    now = "tile_select";
    expect(found > 0, "answer: no instruction set", 0);
    expect(tile_select("") == NULL, "answer to no name", 0);
    printf(wrong ? "%td numbers are wrong\n" : "all right\n", wrong);
    return wrong != 0;
}
