// SPDX-License-Identifier: Apache-2.0
#include "records/segment.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <new>

#include "records/packed.h"

namespace trivet {
namespace {

constexpr std::size_t kFirstChunkBytes = 1 << 10, kLargestChunkBytes = 256 << 10;
// Of a segment beside its rows: views, vectors, dictionaries without entries.
constexpr std::size_t kColumnOverhead = 128;

bool is_coded(ColumnType type) {
  switch (type) {
    case ColumnType::boolean:
    case ColumnType::integer:
    case ColumnType::number:
    case ColumnType::time:
    case ColumnType::duration:
      return false;
    case ColumnType::text:
    case ColumnType::address:
    case ColumnType::texts:
    case ColumnType::fields:
      break;
  }
  return true;
}

// Zeroed memory that takes no room before it is written to.
class Pages {
 public:
  explicit Pages(std::size_t bytes) : bytes_(bytes) {
    void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) throw std::bad_alloc();
    start_ = static_cast<std::byte*>(start);
    // A huge page for the first row of each column would take what thousands of rows need.
    madvise(start, bytes, MADV_NOHUGEPAGE);
  }
  ~Pages() { munmap(start_, bytes_); }
  Pages(const Pages&) = delete;

  std::byte* take(std::size_t bytes) {
    std::byte* taken = start_ + used_;
    used_ += (bytes + 63) / 64 * 64;
    return taken;
  }

 private:
  std::size_t bytes_;
  std::size_t used_ = 0;
  std::byte* start_;
};

std::size_t rounded(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

std::uint8_t width_for(std::uint64_t span) {
  if (span == 0) return 0;
  if (span <= std::numeric_limits<std::uint8_t>::max()) return 1;
  if (span <= std::numeric_limits<std::uint16_t>::max()) return 2;
  if (span <= std::numeric_limits<std::uint32_t>::max()) return 4;
  return 8;
}

// The bits of a number, and none if there is no value.
std::optional<std::uint64_t> bits_of(const Value& value) {
  if (auto v = std::get_if<std::uint64_t>(&value)) return *v;
  if (auto v = std::get_if<std::int64_t>(&value)) return static_cast<std::uint64_t>(*v);
  if (auto v = std::get_if<Time>(&value)) return v->boot_ns;
  if (auto v = std::get_if<Duration>(&value)) return static_cast<std::uint64_t>(v->ns);
  if (auto v = std::get_if<bool>(&value)) return *v ? 1 : 0;
  if (auto v = std::get_if<double>(&value)) return std::bit_cast<std::uint64_t>(*v);
  return std::nullopt;
}

// The bytes of an entry, and none if there is no value. `packed` is room to make them in.
std::optional<std::string_view> entry_of(const Value& value, std::string& packed) {
  if (auto text = std::get_if<std::string_view>(&value)) return *text;
  packed.clear();
  if (auto address = std::get_if<IpAddress>(&value)) {
    packed.assign(reinterpret_cast<const char*>(address->bytes.data()),
                  address->family == 4 ? 4 : 16);
  } else if (auto texts = std::get_if<std::span<const std::string>>(&value)) {
    pack(packed, *texts);
  } else if (auto fields = std::get_if<const Fields*>(&value)) {
    pack(packed, **fields);
  } else {
    return std::nullopt;
  }
  return packed;
}

}  // namespace

// Of a growing segment: pages and chunks. Of a complete one: the columns' own vectors.
struct Segment::Store {
  std::optional<Pages> pages;
  std::vector<std::unique_ptr<char[]>> chunks;

  struct Sealed {
    std::vector<std::byte> codes;
    std::vector<std::uint8_t> nulls;
    std::vector<std::uint32_t> ends;
    std::vector<char> heap;
  };
  std::vector<Sealed> sealed;
};

Segment::Segment(const RecordSchema& schema, std::unique_ptr<Store> store)
    : schema_(&schema),
      store_(std::move(store)),
      columns_(schema.columns.size() + 1),
      ranges_(columns_.size()),
      entry_counts_(new std::atomic<std::uint64_t>[columns_.size()]()) {
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    columns_[i].type = schema.columns[i].type;
    columns_[i].coded = is_coded(columns_[i].type);
  }
  bytes_ = columns_.size() * kColumnOverhead;
}

Segment::~Segment() = default;

std::optional<Segment::Range> Segment::range(std::size_t column) const {
  return ranges_[column];
}

std::shared_ptr<const void> Segment::record(std::size_t row) const {
  auto record = schema_->make();
  Unpacked unpacked;
  for (std::size_t i = 0; i < schema_->columns.size(); ++i) {
    schema_->columns[i].set(record.get(), value_at(columns_[i], row, unpacked));
  }
  return record;
}

Value value_at(const ColumnView& column, std::size_t row, Unpacked& unpacked) {
  if (column.null(row)) return {};
  std::uint64_t raw = column.raw(row);
  switch (column.type) {
    case ColumnType::boolean:
      return raw != 0;
    case ColumnType::integer:
      return static_cast<std::int64_t>(raw);
    case ColumnType::number:
      return std::bit_cast<double>(raw);
    case ColumnType::time:
      return Time{raw};
    case ColumnType::duration:
      return Duration{static_cast<std::int64_t>(raw)};
    default:
      break;
  }
  std::string_view entry = column.entry(raw);
  switch (column.type) {
    case ColumnType::address:
      return entry.size() == 4 ? IpAddress::v4(entry.data()) : IpAddress::v6(entry.data());
    case ColumnType::texts:
      unpacked.texts = unpack_texts(entry);
      return std::span<const std::string>(unpacked.texts);
    case ColumnType::fields:
      unpacked.fields = unpack_fields(entry);
      return static_cast<const Fields*>(&unpacked.fields);
    default:
      return entry;
  }
}

// A column's distinct entries and the way from bytes to code: open addressing, the codes as values.
class SegmentWriter::Dictionary {
 public:
  Dictionary(Segment::Store& store, std::string_view* entries)
      : store_(store), entries_(entries), slots_(kFirstSlots) {}

  // The code of these bytes; `added` grows by the memory that a new entry takes.
  std::uint32_t code(std::string_view bytes, std::size_t& added) {
    if (last_ != 0 && entries_[last_] == bytes) return last_;
    if (bytes.size() > Segment::kMaxSharedBytes) return last_ = add(bytes, added);
    if (shared_ * 2 >= slots_.size()) grow();
    std::size_t hash = std::hash<std::string_view>()(bytes);
    for (std::size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      Slot& slot = slots_[at];
      if (slot.code == 0) {
        slot = {static_cast<std::uint32_t>(hash), add(bytes, added)};
        ++shared_;
        return last_ = slot.code;
      }
      if (slot.hash == static_cast<std::uint32_t>(hash) && entries_[slot.code] == bytes) {
        return last_ = slot.code;
      }
    }
  }
  std::uint32_t count() const { return count_; }

 private:
  static constexpr std::size_t kFirstSlots = 16;
  struct Slot {
    std::uint32_t hash;  // the low half, which also finds the slot: at most 2^32 of them
    std::uint32_t code;
  };

  std::uint32_t add(std::string_view bytes, std::size_t& added) {
    if (bytes.size() > left_) {
      chunk_bytes_ = std::clamp(chunk_bytes_ * 2, kFirstChunkBytes, kLargestChunkBytes);
      left_ = std::max(bytes.size(), chunk_bytes_);
      store_.chunks.push_back(std::make_unique_for_overwrite<char[]>(left_));
      next_ = store_.chunks.back().get();
    }
    std::copy(bytes.begin(), bytes.end(), next_);
    entries_[count_] = {next_, bytes.size()};
    next_ += bytes.size();
    left_ -= bytes.size();
    added += bytes.size() + sizeof(std::string_view) + sizeof(Slot);
    return count_++;
  }

  void grow() {
    std::vector<Slot> larger(slots_.size() * 2);
    for (const Slot& slot : slots_) {
      if (slot.code == 0) continue;
      std::size_t at = slot.hash & (larger.size() - 1);
      while (larger[at].code != 0) at = (at + 1) & (larger.size() - 1);
      larger[at] = slot;
    }
    slots_ = std::move(larger);
  }

  Segment::Store& store_;
  std::string_view* entries_;
  std::uint32_t count_ = 1;  // entry 0 stands for no value
  std::uint32_t last_ = 0;
  std::size_t shared_ = 0;
  std::vector<Slot> slots_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t chunk_bytes_ = 0;
};

SegmentWriter::SegmentWriter(const RecordSchema& schema, std::size_t capacity)
    : capacity_(capacity) {
  const std::size_t coded_bytes = rounded(capacity * sizeof(std::uint32_t)) +
                                  rounded((capacity + 1) * sizeof(std::string_view));
  const std::size_t number_bytes = rounded(capacity * sizeof(std::uint64_t)) + rounded(capacity);
  std::size_t bytes = number_bytes;  // the row's number
  for (const auto& column : schema.columns)
    bytes += is_coded(column.type) ? coded_bytes : number_bytes;

  auto store = std::make_unique<Segment::Store>();
  Pages& pages = store->pages.emplace(bytes);
  segment_.reset(new Segment(schema, std::move(store)));
  for (auto& column : segment_->columns_) {
    auto& dictionary = dictionaries_.emplace_back();
    column.width = column.coded ? sizeof(std::uint32_t) : sizeof(std::uint64_t);
    column.codes = pages.take(capacity * column.width);
    if (column.coded) {
      auto* entries = reinterpret_cast<std::string_view*>(
          pages.take((capacity + 1) * sizeof(std::string_view)));
      column.entries = entries;
      dictionary = std::make_unique<Dictionary>(*segment_->store_, entries);
    } else {
      column.nulls = reinterpret_cast<const std::uint8_t*>(pages.take(capacity));
    }
  }
}

SegmentWriter::~SegmentWriter() = default;

void SegmentWriter::append(const void* record, std::uint64_t number) {
  const auto& schema = segment_->schema();
  const std::size_t row = segment_->rows_.load(std::memory_order_relaxed);
  std::size_t added = 0;
  const auto put = [row](const ColumnView& column, auto word) {
    // The views are for readers, the pages behind them are the writer's.
    std::memcpy(const_cast<std::byte*>(column.codes) + row * sizeof(word), &word, sizeof(word));
    return sizeof(word);
  };
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    const Value value = schema.columns[i].get(record);
    const ColumnView& column = segment_->columns_[i];
    if (Dictionary* dictionary = dictionaries_[i].get()) {
      auto entry = entry_of(value, packed_);
      added += put(column, entry ? dictionary->code(*entry, added) : std::uint32_t{0});
      segment_->entry_counts_[i].store(dictionary->count(), std::memory_order_relaxed);
    } else {
      auto bits = bits_of(value);
      added += put(column, bits.value_or(0));
      if (!bits) const_cast<std::uint8_t*>(column.nulls)[row] = 1;
    }
  }
  added += put(segment_->columns_.back(), number);
  segment_->bytes_.fetch_add(added, std::memory_order_relaxed);
  segment_->rows_.store(row + 1, std::memory_order_release);
}

std::shared_ptr<const Segment> SegmentWriter::seal() const {
  const Segment& open = *segment_;
  const std::size_t rows = open.rows();
  auto store = std::make_unique<Segment::Store>();
  store->sealed.resize(open.columns_.size());
  std::shared_ptr<Segment> sealed(new Segment(open.schema(), std::move(store)));
  std::size_t bytes = open.columns_.size() * kColumnOverhead;

  for (std::size_t i = 0; i < open.columns_.size(); ++i) {
    const ColumnView& from = open.columns_[i];
    ColumnView& to = sealed->columns_[i];
    auto& kept = sealed->store_->sealed[i];

    // Numbers are compared as SQL compares them; bits of a double have no order.
    const bool ordered = from.type != ColumnType::number;
    std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
    std::int64_t largest = std::numeric_limits<std::int64_t>::min();
    bool any_null = false, all_same = true;
    for (std::size_t row = 0; row < rows; ++row) {
      const auto value = static_cast<std::int64_t>(from.raw(row));
      smallest = std::min(smallest, value);
      largest = std::max(largest, value);
      all_same &= value == static_cast<std::int64_t>(from.raw(0));
      any_null |= from.nulls != nullptr && from.nulls[row] != 0;
    }
    if (rows != 0 && (ordered || all_same)) {
      to.base = static_cast<std::uint64_t>(smallest);
      to.width = width_for(static_cast<std::uint64_t>(largest) - to.base);
    } else {
      to.width = sizeof(std::uint64_t);
    }
    kept.codes.resize(rows * to.width);
    for (std::size_t row = 0; row < rows && to.width != 0; ++row) {
      static_assert(std::endian::native == std::endian::little);  // the low bytes come first
      const std::uint64_t code = from.raw(row) - to.base;
      std::memcpy(kept.codes.data() + row * to.width, &code, to.width);
    }
    to.codes = kept.codes.data();
    if (any_null) {
      kept.nulls.assign(from.nulls, from.nulls + rows);
      to.nulls = kept.nulls.data();
    }
    if (!from.coded && ordered && !any_null && rows != 0) {
      sealed->ranges_[i] = Segment::Range{smallest, largest};
    }
    if (from.coded) {
      const std::uint64_t count = std::max<std::uint64_t>(open.entries(i), 1);
      std::size_t heap_bytes = 0;
      for (std::uint64_t code = 1; code < count; ++code) heap_bytes += from.entry(code).size();
      kept.heap.reserve(heap_bytes);
      kept.ends.reserve(count);
      kept.ends.push_back(0);
      for (std::uint64_t code = 1; code < count; ++code) {
        const auto entry = from.entry(code);
        kept.heap.insert(kept.heap.end(), entry.begin(), entry.end());
        kept.ends.push_back(static_cast<std::uint32_t>(kept.heap.size()));
      }
      to.ends = kept.ends.data();
      to.heap = kept.heap.data();
      sealed->entry_counts_[i].store(count, std::memory_order_relaxed);
    }
    bytes += kept.codes.size() + kept.nulls.size() + kept.heap.size() +
             kept.ends.size() * sizeof(std::uint32_t);
  }
  sealed->bytes_ = bytes;
  sealed->rows_.store(rows, std::memory_order_release);
  return sealed;
}

}  // namespace trivet
