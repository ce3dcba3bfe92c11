/* The optimizers' steps: tile_step.h, with outputs of their own and in place. */

static void NAME(check_sgd)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t n = l->pixels[0] * l->pixels[1] * l->filters;
    for (int how = 0; how < 16; how++) {
        const int in_place = how & 1, nesterov = how >> 1 & 1, keeps = how >> 2 & 1;
        const REAL lr = 2, momentum = 3, decay = how >> 3;
        REAL *value = NAME(numbers)(n), *grad = NAME(numbers)(n), *velocity = NAME(numbers)(n);
        REAL *out = NAME(output)(in_place ? value : NULL, n), *kept = NAME(output)(in_place ? velocity : NULL, n);
        REAL *values = NAME(copy)(value, n), *velocities = NAME(copy)(kept, n);
        for (ptrdiff_t i = 0; i < n; i++) {
            const REAL g = grad[i] + decay * value[i], u = momentum * velocity[i] + g;
            if (keeps) velocities[i] = u;
            values[i] -= lr * (!keeps ? g : nesterov ? g + momentum * u : u);
        }
        t->sgd(n, in_place ? out : value, grad, !keeps ? NULL : in_place ? kept : velocity, out, kept, lr, momentum,
               nesterov, decay);
        NAME(compare)(out, values, n, 0);
        NAME(compare)(kept, velocities, n, 0);
        free(value);
        free(grad);
        free(velocity);
    }
}

static void NAME(check_adam)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t n = l->pixels[0] * l->pixels[1] * l->filters;
    for (int how = 0; how < 4; how++) {
        const int in_place = how & 1;
        const struct tile_adam s = {
            .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 0.5, .decay = how >> 1, .shrink = 0.75};
        REAL *value = NAME(numbers)(n), *grad = NAME(numbers)(n), *m = NAME(numbers)(n), *v = NAME(numbers)(n);
        for (ptrdiff_t i = 0; i < n; i++) v[i] *= v[i];
        REAL *out = NAME(output)(in_place ? value : NULL, n), *values = NAME(copy)(value, n);
        REAL *out_m = NAME(output)(in_place ? m : NULL, n), *means = NAME(copy)(m, n);
        REAL *out_v = NAME(output)(in_place ? v : NULL, n), *squares = NAME(copy)(v, n);
        for (ptrdiff_t i = 0; i < n; i++) {
            const double g = grad[i] + s.decay * value[i], mean = s.beta1 * m[i] + (1 - s.beta1) * g;
            const double square = s.beta2 * v[i] + (1 - s.beta2) * g * g;
            means[i] = (REAL)mean;
            squares[i] = (REAL)square;
            values[i] = (REAL)(s.shrink * value[i] - s.lr * mean / (sqrt(square) + s.eps));
        }
        t->adam(n, in_place ? out : value, grad, in_place ? out_m : m, in_place ? out_v : v, out, out_m, out_v, &s);
        NAME(compare)(out, values, n, NAME(ROUNDING));
        NAME(compare)(out_m, means, n, NAME(ROUNDING));
        NAME(compare)(out_v, squares, n, NAME(ROUNDING));
        free(value);
        free(grad);
        free(m);
        free(v);
    }
}
