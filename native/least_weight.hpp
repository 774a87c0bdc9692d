// Cheapest path of exactly k steps through positions 0 .. m, under a cost of steps that is concave Monge:
// cost(a, c) + cost(b, d) <= cost(a, d) + cost(b, c) for a <= b <= c <= d.
//
// Sources: Aggarwal, Schieber and Tokuyama, "Finding a minimum-weight k-link path in graphs with the concave Monge
// property and applications" (1994); the queue of candidates is that of Hirschberg and Larmore (1987).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace mlpress {

struct Path {
  std::vector<int32_t> stops;  // ascending, 0 first and m last
  double cost = 0;
  int64_t steps() const { return static_cast<int64_t>(stops.size()) - 1; }
};

// Keeps its scratch memory between searches. Cost is callable as cost(from, to) with from < to, and finite.
class PathFinder {
 public:
  // Finds the cheapest path of k steps, 1 <= k <= m, and the price of a step at which it is the cheapest of all
  // paths. `price` is a first guess, and any number will do.
  template <class Cost>
  double search(const Cost& cost, int32_t m, int64_t k, double price, Path& found);

 private:
  struct Candidate {
    int32_t position, wins_from;
  };
  template <class Cost>
  void solve(const Cost& cost, int32_t m, double price, Path& path);
  template <class Cost>
  static void add_up(const Cost& cost, Path& path);
  static void splice(const Path& few, const Path& many, int64_t k, Path& found);

  std::vector<double> best_;
  std::vector<int32_t> parent_;
  std::vector<Candidate> queue_;
  Path few_, many_;
};

template <class Cost>
void PathFinder::add_up(const Cost& cost, Path& path) {
  path.cost = 0;
  for (size_t s = 1; s < path.stops.size(); ++s) path.cost += cost(path.stops[s - 1], path.stops[s]);
}

// The cheapest path when each step costs `price` on top. Of two starts of a step the later one wins from some position
// on, for good; so the queue holds the starts that are still to win, each with the position from which it does.
template <class Cost>
void PathFinder::solve(const Cost& cost, int32_t m, double price, Path& path) {
  best_.resize(static_cast<size_t>(m) + 1);
  parent_.resize(static_cast<size_t>(m) + 1);
  queue_.resize(static_cast<size_t>(m) + 1);
  double* best = best_.data();
  Candidate* queue = queue_.data();
  const auto value = [&cost, best](int32_t start, int32_t end) { return best[start] + cost(start, end); };
  int32_t head = 0, tail = 0;
  queue[0] = {0, 1};
  best[0] = 0;
  for (int32_t j = 1;; ++j) {
    while (head < tail && queue[head + 1].wins_from <= j) ++head;
    parent_[j] = queue[head].position;
    best[j] = value(queue[head].position, j) + price;
    if (j == m) break;

    int32_t wins = m + 1;  // j is known to win from here on
    int32_t loses = j;     // and to lose up to here
    while (tail >= head) {
      const int32_t from = std::max(queue[tail].wins_from, j + 1);
      if (value(j, from) > value(queue[tail].position, from)) {
        loses = from;
        break;
      }
      wins = from;
      --tail;
    }
    if (tail < head) {
      queue[tail = head] = {j, j + 1};
      continue;
    }
    const int32_t rival = queue[tail].position;
    for (int32_t step = 1; loses + step < wins; step *= 2) {
      if (value(j, loses + step) <= value(rival, loses + step)) {
        wins = loses + step;
        break;
      }
      loses += step;
    }
    while (wins - loses > 1) {
      const int32_t middle = loses + (wins - loses) / 2;
      (value(j, middle) <= value(rival, middle) ? wins : loses) = middle;
    }
    if (wins <= m) queue[++tail] = {j, wins};
  }
  path.stops.clear();
  for (int32_t j = m; j > 0; j = parent_[j]) path.stops.push_back(j);
  path.stops.push_back(0);
  std::reverse(path.stops.begin(), path.stops.end());
  add_up(cost, path);
}

// Exchanges the tails of a path of fewer and a path of more than k steps so that one gets exactly k. Where both are the
// cheapest at one price, so is the result.
inline void PathFinder::splice(const Path& few, const Path& many, int64_t k, Path& found) {
  const int64_t shift = k - few.steps();
  int64_t i = 0;
  while (many.stops[i + 1 + shift] > few.stops[i + 1]) ++i;
  found.stops.assign(many.stops.begin(), many.stops.begin() + i + shift + 1);
  found.stops.insert(found.stops.end(), few.stops.begin() + i + 1, few.stops.end());
}

// The least cost is convex in the number of steps, so the number falls as the price rises.
template <class Cost>
double PathFinder::search(const Cost& cost, int32_t m, int64_t k, double price, Path& found) {
  few_.stops = {0, m};
  many_.stops.resize(static_cast<size_t>(m) + 1);
  for (int32_t i = 0; i <= m; ++i) many_.stops[i] = i;
  if (k == 1 || k == m) {
    found = k == 1 ? few_ : many_;
    add_up(cost, found);
    return 0;
  }
  double few_price = std::numeric_limits<double>::infinity(), many_price = 0;
  for (int pass = 0;; ++pass) {
    const bool on_chord = pass >= 6 || many_.steps() - few_.steps() <= 3 || !(price > 0) || !std::isfinite(price);
    if (on_chord) {
      if (few_.steps() == 1) add_up(cost, few_);
      if (many_.steps() == m) add_up(cost, many_);
      price = (few_.cost - many_.cost) / static_cast<double>(many_.steps() - few_.steps());
    }
    solve(cost, m, price, found);
    const int64_t steps = found.steps();
    if (steps == k) return price;
    if (on_chord) {
      // Nothing below the line through the two paths: every number of steps between theirs lies on it.
      const double line = few_.cost + price * static_cast<double>(few_.steps());
      const bool lower = found.cost + price * static_cast<double>(steps) < line * (1 - 1e-13);
      if (steps <= few_.steps() || steps >= many_.steps() || !lower) {
        splice(few_, many_, k, found);
        add_up(cost, found);
        return price;
      }
    }
    if (steps < k) {
      std::swap(few_, found);
      few_price = price;
    } else {
      std::swap(many_, found);
      many_price = price;
    }
    // The price falls with about the third power of the number of steps, for the cost falls with its square.
    if (std::isfinite(few_price) && many_price > 0) {
      const double share = std::log(static_cast<double>(many_.steps()) / static_cast<double>(k)) /
                           std::log(static_cast<double>(many_.steps()) / static_cast<double>(few_.steps()));
      price = many_price * std::pow(few_price / many_price, share);
    } else {
      const double ratio = static_cast<double>(steps) / static_cast<double>(k);
      price *= ratio * ratio * ratio;
    }
  }
}

}  // namespace mlpress
