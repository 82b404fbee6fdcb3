// SPDX-License-Identifier: Apache-2.0
#include "records/segment.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
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

std::byte* put(std::byte* to, const void* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
  return to + bytes;
}

// What a column is seen as that is not there.
constexpr std::array<std::uint8_t, Segment::kMaxRows> all_null() {
  std::array<std::uint8_t, Segment::kMaxRows> nulls{};
  nulls.fill(1);
  return nulls;
}
constexpr std::array<std::uint8_t, Segment::kMaxRows> kAllNull = all_null();

}  // namespace

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

// Of a growing segment: pages and chunks. Of a complete one: its columns.
struct Segment::Store {
  std::optional<Pages> pages;
  std::vector<std::unique_ptr<char[]>> chunks;
  std::vector<CompleteColumn> complete;
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

std::shared_ptr<const Segment> Segment::complete(const RecordSchema& schema, std::size_t rows,
                                                 std::vector<CompleteColumn> columns) {
  auto store = std::make_unique<Segment::Store>();
  store->complete = std::move(columns);
  std::shared_ptr<Segment> segment(new Segment(schema, std::move(store)));
  std::size_t bytes = segment->bytes_;
  for (std::size_t i = 0; i < segment->columns_.size(); ++i) {
    const auto& [shape, range, run] = segment->store_->complete[i];
    ColumnView& view = segment->columns_[i];
    if (!run) {
      if (!view.coded) view.nulls = kAllNull.data();
      segment->entry_counts_[i].store(1, std::memory_order_relaxed);
      continue;
    }
    const std::byte* at = run.get();
    view.width = shape.width;
    view.base = shape.base;
    view.ends = reinterpret_cast<const std::uint32_t*>(at);
    at += shape.entries * sizeof(std::uint32_t);
    view.codes = at;
    at += rows * shape.width;
    if (shape.has_nulls) {
      view.nulls = reinterpret_cast<const std::uint8_t*>(at);
      at += rows;
    }
    view.heap = reinterpret_cast<const char*>(at);
    segment->ranges_[i] = range;
    segment->entry_counts_[i].store(shape.entries, std::memory_order_relaxed);
    bytes += shape.bytes(rows);
  }
  segment->bytes_ = bytes;
  segment->rows_.store(rows, std::memory_order_release);
  return segment;
}

const Segment::CompleteColumn* Segment::complete_column(std::size_t column) const {
  return store_->complete.empty() ? nullptr : &store_->complete[column];
}

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
  std::vector<Segment::CompleteColumn> columns(open.columns_.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const ColumnView& from = open.columns_[i];
    auto& [shape, range, bytes] = columns[i];

    // Numbers are compared as SQL compares them; bits of a double have no order.
    const bool ordered = from.type != ColumnType::number;
    std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
    std::int64_t largest = std::numeric_limits<std::int64_t>::min();
    bool all_same = true;
    for (std::size_t row = 0; row < rows; ++row) {
      const auto value = static_cast<std::int64_t>(from.raw(row));
      smallest = std::min(smallest, value);
      largest = std::max(largest, value);
      all_same &= value == static_cast<std::int64_t>(from.raw(0));
      shape.has_nulls |= from.nulls != nullptr && from.nulls[row] != 0;
    }
    if (rows != 0 && (ordered || all_same)) {
      shape.base = static_cast<std::uint64_t>(smallest);
      shape.width = width_for(static_cast<std::uint64_t>(largest) - shape.base);
    } else {
      shape.width = sizeof(std::uint64_t);
    }
    if (!from.coded && ordered && !shape.has_nulls && rows != 0) {
      range = Segment::Range{smallest, largest};
    }
    if (from.coded) {
      shape.entries = static_cast<std::uint32_t>(std::max<std::uint64_t>(open.entries(i), 1));
      for (std::uint32_t code = 1; code < shape.entries; ++code)
        shape.heap_bytes += static_cast<std::uint32_t>(from.entry(code).size());
    }

    bytes = std::make_unique_for_overwrite<std::byte[]>(shape.bytes(rows));
    std::byte* to = bytes.get();
    for (std::uint32_t code = 0, end = 0; code < shape.entries; ++code) {
      if (code != 0) end += static_cast<std::uint32_t>(from.entry(code).size());
      to = put(to, &end, sizeof(end));
    }
    for (std::size_t row = 0; row < rows && shape.width != 0; ++row) {
      static_assert(std::endian::native == std::endian::little);  // the low bytes come first
      const std::uint64_t code = from.raw(row) - shape.base;
      to = put(to, &code, shape.width);
    }
    if (shape.has_nulls) to = put(to, from.nulls, rows);
    for (std::uint32_t code = 1; code < shape.entries; ++code)
      to = put(to, from.entry(code).data(), from.entry(code).size());
  }
  return Segment::complete(open.schema(), rows, std::move(columns));
}

}  // namespace trivet
