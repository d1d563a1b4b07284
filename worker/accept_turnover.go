package worker

import "time"

// turnover tells connections that stay from those that end at once. Nobody knows that
// when a connection comes, so the connections before it decide: while as many young
// connections end as are open, all that are open now are expected to end as well.
// Without ends, as when clients of a pool connect at the same moment, all are expected
// to stay.
//
// The table's lock guards it.
type turnover struct {
	span  int64    // the current one
	open  [2]int32 // open connections that were accepted in this span, in the one before
	ended [2]int32 // of these, how many have ended in this span, in the one before
}

// turnoverSpan is long beside a short exchange, and so short that nobody minds
// which worker gets a connection that ends within two of them.
const turnoverSpan = int64(8 * time.Millisecond)

// advance begins a new span when it is time.
func (v *turnover) advance(now int64) {
	span := now / turnoverSpan
	switch span - v.span {
	case 0:
		return
	case 1:
		v.open = [2]int32{0, v.open[0]}
		v.ended = [2]int32{0, v.ended[0]}
	default:
		v.open, v.ended = [2]int32{}, [2]int32{}
	}
	v.span = span
}

// begin counts a connection that was accepted at the time at.
func (v *turnover) begin(at int64) {
	v.advance(at)
	v.open[0]++
}

// end counts the end of a connection that was accepted at the time at. An old one is
// not counted: it does not show that others will end.
func (v *turnover) end(at int64) {
	if age := v.span - at/turnoverSpan; age == 0 || age == 1 {
		v.open[age]--
		v.ended[0]++
	}
}

// passing returns how many of the open connections are expected to end soon.
func (v *turnover) passing() int {
	return int(max(min(v.open[0]+v.open[1], v.ended[0]+v.ended[1]), 0))
}
