// Sums over training patches, the inner loop of `patch_posterior`, for processors, in float32.
//
// A query pixel and an admissible training patch p have the energy, in bits,
//
//     E = |s (x - alpha p)|^2, summed over window and channels, with s^2 = log2(e) / (2 sigma^2),
//
// and the weight 2^-E. For one shift between a query and a training image the squared differences
// of all pixels are one picture, and the energies of all windows are its box sums: a comparison
// costs the same whatever the window. Box sums of box sums weigh the pixels of a window by a
// pyramid; s^2 then has its amplitude too. Sixteen training images lie side by side in a `simd`.
//
//     box sums (van Herk)           1. columns: squared differences summed over k rows
//                                   2. rows: those sums summed over k columns: energies
//     online softmax, row by row    3. compact: list the pixels where a patch may matter
//                                   4. rescale: lower the running minimum where it is far too high
//                                   5. accumulate: add the weights 2^(running_min - E)
//                                   6. insert_top_k: keep the nearest patches, if asked for
//     now and then                  7. flush: add the lanes up in float64, tighten the limits
//
// The evidence of each training image is the same sum kept apart for each lane of each simd. A
// window that speaks for the pixels around its centre, too, sums these of its patches, not the
// centre alone.
//
// build.py compiles this file and __init__.py calls it. There are no intrinsics: `simd` is the
// compiler's own vector type, cut into registers as wide as the processor's. Functions that run
// often are kept apart, or the compiler runs out of registers, and copy members to locals: to the
// compiler, storing a `simd` might change any member. -ffast-math would break `exp2`.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define APART __attribute__((noinline))
#define INLINE inline __attribute__((always_inline))

// What __init__.py hands over: its ctypes structures have the same fields in the same order.
struct Problem {
  int32_t h, w, c;
  int32_t window, boxes;  // side of a box, and how many are convolved
  int32_t edge, border;   // side of the window whose border rule holds, and the rule
  int32_t response, top;
  float s, a;   // the query is scaled by s, training images by a = s alpha
  float slack;  // an energy so much above -log2(sum of weights) does not matter
};

struct Sums {  // arrays [b, h, w], [b, h, w, response, response, c] or [b, h, w, top]
  float* running_min;           // weights are relative to this energy
  float* limit;                 // energies from here on do not matter
  double* normalizer;           // sum of the weights
  double* entropy_accumulator;  // sum of weight * log2(weight)
  double* accumulator;          // sum of weight * pixels around the centre
  float* best_energy;           // [.., top], ascending
  int64_t* best_place;          // [.., top], (image * h + row) * w + column
  float* evidence;              // [b, images, h, w], log2 of the sum of each image's weights, or
  int64_t images;               // null; of all images, not only those that are named
};

enum Outcome { DONE, NOT_FINITE, NO_MEMORY };

namespace {

#ifdef __wasm__
constexpr int WIDTH = 4;  // training images in a simd: one register, of which there are few
#else
constexpr int WIDTH = 16;
#endif
constexpr int GROUP = 4;   // simds whose weights are added up in registers before they are stored
typedef float simd __attribute__((vector_size(4 * WIDTH)));
typedef int32_t simd_int __attribute__((vector_size(4 * WIDTH)));
typedef bool simd_bool __attribute__((ext_vector_type(WIDTH)));

enum Border { FIXED, CIRCULAR, AWARE };

constexpr float INF = __builtin_inff();
// The running minimum follows energies that are more than this below it. So weights are at most
// 2^8, and even 2^100 of them stay below the largest float32, 2^128.
constexpr float MARGIN = 8;
// Smaller weights than 2^-100 count as 2^-100: products of them might be denormal, hence slow. The
// nearest patch weighs 2^-8 at least, so 2^40 such weights add less than 2^-51 of the sum.
constexpr float LEAST = -100;
// Rows of shifts between two flushes. A lane then sums up to N = GROUP * FLUSH * 2 w weights, with
// a relative error below N 2^-24 (6e-5 for w = 32; rounding at random, some 2e-6).
constexpr int FLUSH = 4;

INLINE simd fill(float x) { return simd{} + x; }
INLINE simd smaller(simd a, simd b) { return a < b ? a : b; }
INLINE simd larger(simd a, simd b) { return a > b ? a : b; }
INLINE int min(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int max(int64_t a, int64_t b) { return a > b ? a : b; }

INLINE bool any(simd_int mask) {
#ifdef __wasm__
  return __builtin_reduce_or(mask) != 0;
#else
  simd_bool bits = __builtin_convertvector(mask, simd_bool);
  uint16_t word;
  memcpy(&word, &bits, sizeof word);
  return word != 0;
#endif
}

INLINE float smallest(simd a) { return __builtin_reduce_min(a); }

INLINE float total(simd a) {
  for (int half = WIDTH / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a[i] += a[i + half];
  return a[0];
}

// 2^a for -125 <= a <= 127, within 2e-7 of its value.
INLINE simd exp2(simd a) {
  // Adding 1.5 * 2^23 rounds to an integer, which the low bits of the sum then hold.
  const simd magic = fill(12582912.f), shifted = a + magic, f = a - (shifted - magic);
  // Minimax polynomial of 2^f on [-1/2, 1/2].
  const float coefficients[] = {0.009675540961325169f, 0.05550713092088699f, 0.24022120237350464f,
                                0.6931469440460205f, 1.f};
  simd value = fill(0.001327647129073739f);
  for (float coefficient : coefficients) value = value * f + coefficient;
  return (simd)((simd_int)value + ((simd_int)shifted << 23));
}

// Memory of one call, set to zero, on a multiple of 64 bytes.
template <class T>
struct Array {
  void* memory;
  T* data;
  explicit Array(int64_t n) : memory(calloc(n * sizeof(T) + 64, 1)) {
    data = reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(memory) + 63) / 64 * 64);
  }
  Array(const Array&) = delete;
  ~Array() { free(memory); }
};

struct Four {  // neighbours that are summed side by side, so that additions need not wait
  simd part[4]{};
};
INLINE Four operator+(Four a, const Four& b) {
  for (int i = 0; i < 4; i++) a.part[i] += b.part[i];
  return a;
}

// Box sums: out[i] = in[i] + .. + in[i + k - 1] for i = 0 .. n - 1. `plus(i, s)` is s + in[i];
// `put(i, s, more)` sets out[i] to s, or adds it. Only additions of what is not negative: nothing
// cancels, and out[i] has a relative error of at most (k - 1) 2^-24.
template <class Plus, class Put>
INLINE void box_sums(int n, int k, Plus plus, Put put) {
  if (k == 3) {  // the commonest window: two additions are cheaper than blocks
    Four s = plus(0, Four{}), t = plus(1, Four{});
    for (int i = 0; i < n; i++) {
      Four u = plus(i + 2, Four{});
      put(i, s + t + u, false);
      s = t, t = u;
    }
    return;
  }
  for (int first = 0; first < n; first += k) {  // in blocks of k:
    int last = min(first + k, n), i = first + k - 1;
    Four s;
    for (; i >= last; i--) s = plus(i, s);
    for (; i >= first; i--) s = plus(i, s), put(i, s, false);  // sums from i to the block's end
    s = Four{};
    for (i = first + 1; i < last; i++) s = plus(i + k - 1, s), put(i, s, true);  // and beyond it
  }
}

template <int C>  // channels, if they are few; 0 for any number
struct Kernel {
  const Problem problem;
  const bool each;  // whether the evidence of each image is asked for
  const int h, w, c, k, boxes, top;
  const int r;       // how far a window sees
  const int edge;    // how far from a border a pixel is interior
  const int f;       // how far a window speaks
  const int values;  // how many numbers of a patch are summed: of the pixels that it speaks for
  const bool circular, aware;
  // Packed training images: [row, column, channel], with a row of zeros at the end; at both ends of
  // a row `pad` zeros, or where it is circular what follows, and three more for groups of four.
  const int pad, packed_w, packed_size;
  const int query_w;              // columns of the query, r more at both ends: zeros, or wrapped
  const int strip_w, strip_size;  // box sums over rows, with room for groups of four
  const int pitch, energy_size;   // four rows of energies; odd: apart in the cache
  const int per_pixel;            // simds in `lanes`: normalizer, entropy, values, and, where
                                  // images are summed apart, the GROUP normalizers of a group
  Array<simd> packed, strip, energy, lanes;
  Array<Four> squares;
  Array<float> query;
  Array<int> query_row, packed_row, list;
  Array<const simd*> value_rows;

  Kernel(const Problem& p, bool each)
      : problem(p), each(each), h(p.h), w(p.w), c(C ? C : p.c), k(p.window), boxes(p.boxes),
        top(p.top), r(boxes * (k / 2)), edge(p.edge / 2), f(p.response / 2),
        values(p.response * p.response * c), circular(p.border == CIRCULAR),
        aware(p.border == AWARE), pad(circular ? f : max(r, f)),
        packed_w(w + 2 * pad + (circular ? 3 : 0)), packed_size((h + 1) * packed_w * c),
        query_w(w + 2 * r), strip_w(w + 2 * r + 3), strip_size((h + 3) * strip_w),
        pitch((w + (boxes - 1) * (k - 1)) | 1), energy_size(4 * pitch),
        per_pixel(2 + values + (each ? GROUP : 0)), packed(GROUP * packed_size + 4 * c),
        strip(GROUP * strip_size), energy(GROUP * energy_size), lanes(h * w * per_pixel),
        squares(h + 2 * r), query((h + 1) * query_w * c + 4 * c), query_row(h + 2 * max(r, f)),
        packed_row(h + 2 * max(r, f)), list(w + 1), value_rows(p.response) {}

  bool has_memory() const {
    return packed.memory && strip.memory && energy.memory && lanes.memory &&
           squares.memory && query.memory && query_row.memory && packed_row.memory && list.memory &&
           value_rows.memory;
  }
  INLINE int channels() const { return C ? C : c; }

  struct Span {  // positions of an axis that compare with those a shift further on
    int first, n;
  };
  Span overlap(int shift, int side) const {
    if (!aware || shift == 0) return {0, side};
    int first = max(edge, edge - shift);  // both interior
    return {first, static_cast<int>(min(side - edge, side - edge - shift)) - first};
  }
  Span shifts(int side) const {
    int inner = max(side - 2 * edge, 1);
    return aware ? Span{1 - inner, 2 * inner - 1} : Span{0, circular ? side : 1};
  }

  // Lay up to sixteen images [c, h, w] out in the lanes of `out`; whether all values are finite.
  bool pack(const float* images, const int64_t* order, int n, simd* out) const {
    memset(out, 0, packed_size * sizeof(simd));
    float* to = reinterpret_cast<float*>(out);
    float broken = 0;
    for (int lane = 0; lane < n; lane++)
      for (int ch = 0; ch < c; ch++)
        for (int i = 0; i < h; i++) {
          const float* row = images + ((order[lane] * c + ch) * h + i) * w;
          for (int j = 0; j < packed_w; j++) {
            int x = circular ? (j - pad + w) % w : j - pad;
            if (x < 0 || x >= w) continue;
            broken += row[x] * 0;  // NaN, if the value is NaN or infinite
            to[((i * packed_w + j) * c + ch) * WIDTH + lane] = row[x];
          }
        }
    return broken == 0;
  }

  void pack_query(const float* x) {
    for (int ch = 0; ch < c; ch++)
      for (int i = 0; i < h; i++)
        for (int j = 0; j < query_w; j++) {
          int y = circular ? (j - r + w) % w : j - r;
          bool inside = y >= 0 && y < w;
          query.data[(i * query_w + j) * c + ch] = inside ? problem.s * x[(ch * h + i) * w + y] : 0;
        }
  }

  // 1. Squared differences, over the channels, summed over k rows: of one column in four simds of
  // images, which share the query's values, or of four neighbouring columns in the only simd.
  template <int BLOCKS>
  APART void columns(const float* q, const simd* p, int n, simd* out, int unseen) {
    constexpr bool one_column = BLOCKS == 4;
    const int cs = channels();
    const int64_t q_step = one_column ? 0 : cs, p_step = one_column ? packed_size : cs;
    const int64_t out_step = one_column ? strip_size : 1, row_step = strip_w;
    const int *q_row = query_row.data + unseen, *p_row = packed_row.data + unseen;
    const float a = problem.a;
    Four* stored = squares.data;
    auto row = [&](int i, Four s) {
      const float* qi = q + q_row[i];
      const simd* pi = p + p_row[i];
      for (int ch = 0; ch < cs; ch++)
        for (int j = 0; j < 4; j++) {
          simd d = qi[j * q_step + ch] - a * pi[j * p_step + ch];
          s.part[j] += d * d;
        }
      return s;
    };
    auto put = [&](int i, const Four& s, bool more) {
      simd* o = out + i * row_step;
      for (int j = 0; j < 4; j++)
        o[j * out_step] = more ? o[j * out_step] + s.part[j] : s.part[j];
    };
    // Several blocks need rows twice. In grey, squaring again is as fast as a store and a load.
    const int further = (boxes - 1) * (k - 1);
    if (further == 0 && (C == 1 || k == 3 || n <= k)) return box_sums(n, k, row, put);
    for (int i = 0; i < n + further + k - 1; i++) stored[i] = row(i, Four{});
    auto again = [&](int i, Four s) { return s + stored[i]; };
    for (int m = further; m > 0; m -= k - 1)  // in place: a sum needs nothing that is gone
      box_sums(n + m, k, again,
               [&](int i, const Four& s, bool more) { stored[i] = more ? s + stored[i] : s; });
    box_sums(n, k, again, put);
  }

  // 2. Four rows of a strip summed over k columns: energies. Column `around` is column 0 again.
  APART void rows(const simd* in, int around, int n, simd* out) const {
    const int64_t in_step = strip_w, out_step = pitch;
    const int further = (boxes - 1) * (k - 1);
    auto put = [&](int j, const Four& s, bool more) {
      for (int i = 0; i < 4; i++) {
        simd* o = out + i * out_step + j;
        *o = more ? *o + s.part[i] : s.part[i];
      }
    };
    box_sums(
        n + further, k,
        [&](int j, Four s) {
          const simd* column = in + (j < around ? j : j - around);
          for (int i = 0; i < 4; i++) s.part[i] += column[i * in_step];
          return s;
        },
        put);
    for (int m = further - (k - 1); m >= 0 && k > 1; m -= k - 1)
      box_sums(
          n + m, k,
          [&](int j, Four s) {
            for (int i = 0; i < 4; i++) s.part[i] += out[i * out_step + j];
            return s;
          },
          put);
  }

  template <int BLOCKS>
  INLINE simd lowest(const simd* e) const {
    simd s = e[0];
    for (int g = 1; g < BLOCKS; g++) s = smaller(s, e[g * energy_size]);
    return s;
  }

  // 3. List the pixels of a row with an energy below their limit; whether one is far below its
  // running minimum. Writing always and counting sometimes needs no branch, which would be a guess.
  template <int BLOCKS>
  APART int compact(const simd* e, int n, const float* limit, const float* running_min, bool* low) {
    int* out = list.data;
    int count = 0;
    simd margin{};
    for (int j = 0; j < n; j++) {
      simd s = lowest<BLOCKS>(e + j);
      out[count] = j;
      count += any(s < limit[j]);
      margin = smaller(margin, s - running_min[j]);
    }
    *low = any(margin < -MARGIN);
    return count;
  }

  // All patches that are left out because of a limit weigh less than 2^-slack of the sum each: the
  // sum weighs at least as much as is known of it, and as the patch at the running minimum.
  float limit(const Sums& o, int pixel) const {
    double known = o.normalizer[pixel] > 1 ? o.normalizer[pixel] : 1;
    float limit = o.running_min[pixel] + problem.slack - static_cast<float>(log2(known));
    if (top == 0) return limit;
    float worst = o.best_energy[static_cast<int64_t>(pixel + 1) * top - 1];
    return limit > worst ? limit : worst;
  }

  // 4. Make all sums of a pixel relative to another energy.
  void rescale(const Sums& o, int pixel, simd* lane, float running_min) const {
    float change = running_min - o.running_min[pixel];
    o.running_min[pixel] = running_min;
    if (change == -INF) return;  // nothing is summed yet
    float factor = exp2f(change);
    lane[1] = factor * (change * lane[0] + lane[1]);
    lane[0] *= factor;
    o.entropy_accumulator[pixel] =
        factor * (o.entropy_accumulator[pixel] + change * o.normalizer[pixel]);
    o.normalizer[pixel] *= factor;
    double* sums = o.accumulator + static_cast<int64_t>(pixel) * values;
    for (int v = 0; v < values; v++) sums[v] *= factor;
    for (int v = 2; v < per_pixel; v++) lane[v] *= factor;
  }

  // 5. Add the weights of the listed pixels' patches to the lanes: normalizer, entropy, values.
  // These are rows of pixels, from `at` on in the training rows around the centre's.
  template <int BLOCKS, bool EACH, bool FOLDED>
  APART void accumulate(const simd* e, int count, const float* running_min, simd* lanes,
                        int64_t at) const {
    const int64_t step = channels(), e_step = energy_size, p_step = packed_size;
    const int64_t side = FOLDED ? 2 * f + 1 : 1, across = side * step, n_values = side * across;
    const int64_t lane_step = 2 + n_values + (EACH ? GROUP : 0);
    const int* listed = list.data;
    const simd *const *from_rows = value_rows.data, *centres = from_rows[0] + at;
    for (int l = 0; l < count; l++) {
      const int64_t j = listed[l];
      simd* lane = lanes + j * lane_step;
      simd weight[BLOCKS], normalizer = lane[0], entropy = lane[1];
      for (int g = 0; g < BLOCKS; g++) {
        simd z = larger(running_min[j] - e[g * e_step + j], fill(LEAST));
        weight[g] = exp2(z);
        if (EACH) lane[2 + n_values + g] += weight[g];
        normalizer += weight[g];
        entropy += weight[g] * z;
      }
      lane[0] = normalizer, lane[1] = entropy;
      for (int64_t y = 0; y < side; y++) {
        const simd* from = (FOLDED ? from_rows[y] + at : centres) + j * step;
        simd* to = lane + 2 + y * across;
        for (int64_t v = 0; v < across; v++) {
          simd value = to[v];
          for (int g = 0; g < BLOCKS; g++) value += weight[g] * from[g * p_step + v];
          to[v] = value;
        }
      }
    }
  }

  // 6. Put an energy among a pixel's nearest, if it is one; of equals the first that came stays.
  void insert_top_k(const Sums& o, int pixel, float energy, int64_t place) const {
    float* energies = o.best_energy + static_cast<int64_t>(pixel) * top;
    int64_t* places = o.best_place + static_cast<int64_t>(pixel) * top;
    int i = top - 1;
    if (!(energy < energies[i])) return;
    for (; i > 0 && energy < energies[i - 1]; i--)
      energies[i] = energies[i - 1], places[i] = places[i - 1];
    energies[i] = energy, places[i] = place;
  }

  // 7. Move the lanes' sums to float64, and tighten the limits by what is known now.
  APART void flush(const Sums& o) {
    for (int pixel = 0; pixel < h * w; pixel++) {
      simd* lane = lanes.data + pixel * per_pixel;
      o.normalizer[pixel] += total(lane[0]);
      o.entropy_accumulator[pixel] += total(lane[1]);
      double* sums = o.accumulator + static_cast<int64_t>(pixel) * values;
      for (int v = 0; v < values; v++) sums[v] += total(lane[2 + v]);
      for (int v = 0; v < 2 + values; v++) lane[v] = simd{};
      o.limit[pixel] = limit(o, pixel);
    }
  }

  // What the weights of each image sum up to, in all of a group's shifts: of up to h w patches.
  void keep_evidence(const Sums& o, const int64_t* names, int n) {
    for (int pixel = 0; pixel < h * w; pixel++) {
      simd* sums = lanes.data + pixel * per_pixel + 2 + values;
      for (int i = 0; i < n; i++)
        o.evidence[names[i] * h * w + pixel] =
            log2f(sums[i / WIDTH][i % WIDTH]) - o.running_min[pixel];
      memset(sums, 0, GROUP * sizeof(simd));
    }
  }

  struct Images {  // the training images at hand
    const int64_t* names;
    int absent;  // lanes of the last simd that hold none
  };

  // Steps 3 to 6 for n neighbouring pixels from `pixel` on, whose patches lie one beside the other:
  // their centres at `place` = row * w + column of each training image, their values from `at` on.
  template <int BLOCKS>
  void weigh(const simd* e, int n, int pixel, int64_t at, int64_t place, const Images& images,
             const Sums& o) {
    bool low;
    const int count = compact<BLOCKS>(e, n, o.limit + pixel, o.running_min + pixel, &low);
    const int* listed = list.data;
    simd* lane = lanes.data + pixel * per_pixel;
    for (int l = 0; low && l < count; l++) {
      const int j = listed[l];
      float least = smallest(lowest<BLOCKS>(e + j));
      if (!(least < o.running_min[pixel + j] - MARGIN)) continue;
      rescale(o, pixel + j, lane + j * per_pixel, least);
      o.limit[pixel + j] = limit(o, pixel + j);
    }
    const float* least = o.running_min + pixel;
    if (each && f) accumulate<BLOCKS, true, true>(e, count, least, lane, at);
    else if (each) accumulate<BLOCKS, true, false>(e, count, least, lane, at);
    else if (f) accumulate<BLOCKS, false, true>(e, count, least, lane, at);
    else accumulate<BLOCKS, false, false>(e, count, least, lane, at);
    for (int l = 0; top && l < count; l++)
      for (int g = 0; g < BLOCKS; g++)
        for (int i = 0; i < WIDTH - (g == BLOCKS - 1 ? images.absent : 0); i++)
          insert_top_k(o, pixel + listed[l], e[g * energy_size + listed[l]][i],
                       images.names[g * WIDTH + i] * h * w + place + listed[l]);
  }

  // Where the rows that windows see or speak for start in the query and in the packed images, from
  // the one `beyond` before the first; outside: zeros.
  int beyond() const { return max(r, f); }
  void set_rows(Span rows, int shift) {
    for (int i = 0; i < rows.n + 2 * beyond(); i++) {
      int y = rows.first - beyond() + i, shifted = y + shift;
      if (circular) y = (y + h) % h, shifted = (shifted + h) % h;
      if (y < 0 || y >= h) y = h;
      if (shifted < 0 || shifted >= h) shifted = h;
      query_row.data[i] = y * query_w * c;
      packed_row.data[i] = shifted * packed_w * c;
    }
  }

  // Compare every window with the one (di, dj) further on in each training image.
  template <int BLOCKS>
  void compare(Span rows_at, int di, int dj, const Images& images, const Sums& o) {
    const Span cols = overlap(dj, w);
    const int around = circular ? w : cols.n + 2 * r, step = channels(), unseen = beyond() - r;
    static_assert(BLOCKS == 1 || BLOCKS == 4, "what `columns` takes at a time");
    for (int j = 0; j < around; j += BLOCKS == 4 ? 1 : 4) {
      const int from = pad + (circular ? (j + dj - r + w) % w : cols.first + dj + j - r);
      columns<BLOCKS>(query.data + (cols.first + j) * step, packed.data + from * step, rows_at.n,
                      strip.data + j, unseen);
    }
    // The training column of the first pixel, and how many follow until it wraps.
    const int col = cols.first + dj, unwrapped = circular ? w - dj : cols.n;
    for (int i = 0; i < rows_at.n; i += 4) {
      for (int g = 0; g < BLOCKS; g++)
        rows(strip.data + g * strip_size + i * strip_w, around, cols.n,
             energy.data + g * energy_size);
      for (int j = 0; images.absent && j < energy_size; j++)
        for (int lane = WIDTH - images.absent; lane < WIDTH; lane++)
          energy.data[(BLOCKS - 1) * energy_size + j][lane] = INF;
      for (int y = i; y < min(i + 4, rows_at.n); y++) {
        const int row = rows_at.first + y, pixel = row * w + cols.first;
        const int64_t place = (row + di) % h * w;
        const simd* e = energy.data + (y - i) * pitch;
        for (int v = 0; v <= 2 * f; v++)
          value_rows.data[v] = packed.data + packed_row.data[y + beyond() - f + v];
        const int first = pad - f;  // of the values of column 0
        weigh<BLOCKS>(e, unwrapped, pixel, (first + col) * step, place + col, images, o);
        if (unwrapped < cols.n)
          weigh<BLOCKS>(e + unwrapped, cols.n - unwrapped, pixel + unwrapped, first * step, place,
                        images, o);
      }
    }
  }

  // All queries against up to BLOCKS * WIDTH training images.
  template <int BLOCKS>
  bool group(const float* images, const int64_t* order, int n, const float* x, int64_t b,
             const Sums& sums) {
    for (int g = 0; g < BLOCKS; g++) {
      simd* out = packed.data + g * packed_size;
      if (!pack(images, order + g * WIDTH, min(WIDTH, n - g * WIDTH), out)) return false;
    }
    for (int64_t i = 0; i < b; i++) {
      const int64_t at = i * h * w;
      const Sums own = {sums.running_min + at, sums.limit + at,
                        sums.normalizer + at,  sums.entropy_accumulator + at,
                        sums.accumulator + at * values, sums.best_energy + at * top,
                        sums.best_place + at * top, sums.evidence + at * sums.images,
                        sums.images};
      pack_query(x + at * c);
      const Span down = shifts(h), right = shifts(w);
      for (int di = down.first; di < down.first + down.n; di++) {
        const Span rows_at = overlap(di, h);
        set_rows(rows_at, di);
        for (int dj = right.first; dj < right.first + right.n; dj++)
          compare<BLOCKS>(rows_at, di, dj, {order, BLOCKS * WIDTH - n}, own);
        const bool now = di % FLUSH == 0 || di == down.first + down.n - 1;
        if (now) flush(own);
      }
      if (each) keep_evidence(own, order, n);
    }
    return true;
  }

  Outcome run(const float* images, const int64_t* order, int64_t n, const float* x, int64_t b,
              const Sums& sums) {
    if (!has_memory()) return NO_MEMORY;
    int64_t i = 0;
    bool finite = true;
    for (; finite && i + GROUP * WIDTH <= n; i += GROUP * WIDTH)
      finite = group<GROUP>(images, order + i, GROUP * WIDTH, x, b, sums);
    for (; finite && i < n; i += WIDTH)
      finite = group<1>(images, order + i, min(WIDTH, n - i), x, b, sums);
    return finite ? DONE : NOT_FINITE;
  }
};

}  // namespace

// The queries x [b, c, h, w] against those n of `images` that `order` names, added to `sums`, which
// start at infinity (running_min, limit, best_energy) or 0. With NOT_FINITE they are half done.
extern "C" int posterior_sums(const Problem* problem, const float* images, const int64_t* order,
                              int64_t n, const float* x, int64_t b, const Sums* sums) {
  const bool each = sums->evidence != nullptr;
  switch (problem->c) {
    case 1: return Kernel<1>(*problem, each).run(images, order, n, x, b, *sums);
    case 2: return Kernel<2>(*problem, each).run(images, order, n, x, b, *sums);
    case 3: return Kernel<3>(*problem, each).run(images, order, n, x, b, *sums);
    case 4: return Kernel<4>(*problem, each).run(images, order, n, x, b, *sums);
    default: return Kernel<0>(*problem, each).run(images, order, n, x, b, *sums);
  }
}

// Which source this is: a file compiled from another one must not be used.
extern "C" const char* source_digest() { return SOURCE_DIGEST; }
