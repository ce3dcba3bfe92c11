/* Steps of the optimizers, one pass over flat arrays. Included by tile_real.h.
 *
 * Plain loops: the compiler makes vectors of them, square roots included (-fno-math-errno). Outputs may be the inputs
 * of the same meaning.
 */

static void NAME(sgd)(ptrdiff_t n, const REAL *value, const REAL *grad, const REAL *velocity, REAL *out,
                      REAL *out_velocity, REAL lr, REAL momentum, int nesterov, REAL decay) {
    if (!velocity) {
        INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) {
            const REAL g = decay != 0 ? grad[i] + decay * value[i] : grad[i];
            out[i] = value[i] - lr * g;
        }
        return;
    }
    INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = decay != 0 ? grad[i] + decay * value[i] : grad[i], u = momentum * velocity[i] + g;
        out_velocity[i] = u;
        out[i] = value[i] - lr * (nesterov ? g + momentum * u : u);
    }
}

static void NAME(adam)(ptrdiff_t n, const REAL *value, const REAL *grad, const REAL *m, const REAL *v, REAL *out,
                       REAL *out_m, REAL *out_v, const struct tile_adam *s) {
    const REAL lr = (REAL)s->lr, take1 = (REAL)(1 - s->beta1), beta2 = (REAL)s->beta2, take2 = (REAL)(1 - s->beta2);
    const REAL eps = (REAL)s->eps, decay = (REAL)s->decay, shrink = (REAL)s->shrink;
    INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) {
        const REAL g = decay != 0 ? grad[i] + decay * value[i] : grad[i];
        const REAL mean = m[i] + take1 * (g - m[i]), square = beta2 * v[i] + take2 * (g * g);
        out_m[i] = mean;
        out_v[i] = square;
        out[i] = shrink * value[i] - lr * (mean / (SQRT(square) + eps));
    }
}
