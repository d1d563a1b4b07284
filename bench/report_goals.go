package main

// goal is a figure to reach: a ratio of two rows of a suite within each round
// (By is set), or the value of one row. All are upper bounds.
type goal struct {
	Item      string // as the table names it
	Suite     string
	Of, By    string // rows
	Metric    string // "" is the suite's main metric
	Must, Aim float64
	Unit      string // of an absolute value
}

// goals in the order of the table. Suites and rows are named as the figures of
// this program name them; a goal whose suite or row was not measured says so.
var goals = []goal{
	{Item: "threading echo, 1 worker ÷ one Go `net`", Suite: "echo-64", Of: threading(1), By: goNet(1), Must: 1.02, Aim: 0.98},
	{Item: "threading echo, 2 workers ÷ two Go `net`", Suite: "echo-64", Of: threading(2), By: goNet(2), Must: 1.02, Aim: 0.98},
	{Item: "event echo, 64 connections ÷ C epoll", Suite: "echo-64", Of: event(1), By: cEpoll(1), Must: 1.10, Aim: 1.03},
	{Item: "event echo, 64 connections ÷ Go `net`", Suite: "echo-64", Of: event(1), By: goNet(1), Must: 0.90, Aim: 0.80},
	{Item: "event echo, 1,000 connections ÷ C epoll", Suite: "echo-1000", Of: event(1), By: cEpoll(1), Must: 1.10, Aim: 1.03},
	{Item: "event echo, 1,000 connections ÷ Go `net`", Suite: "echo-1000", Of: event(1), By: goNet(1), Must: 0.90, Aim: 0.80},
	{Item: "event, pipelined ×16 ÷ C epoll", Suite: "pipelined", Of: event(1), By: cEpoll(1), Must: 1.3, Aim: 1.1},
	{Item: "event echo ÷ gnet", Suite: "echo-64", Of: event(1), By: gnetName(1), Must: 1, Aim: 0.9},
	{Item: "event echo ÷ netpoll", Suite: "echo-64", Of: event(1), By: netpollName, Must: 1, Aim: 0.9},
	{Item: "event, churn ÷ C epoll, 2 ÷ 2", Suite: "churn", Of: event(2), By: cEpoll(2), Must: 1.2, Aim: 1.08},
	{Item: "threading, churn ÷ C epoll, 2 ÷ 2", Suite: "churn", Of: threading(2), By: cEpoll(2), Must: 1.7, Aim: 1.5},
	{Item: "threading, churn, p50 ÷ Go `net`", Suite: "churn", Of: threading(2), By: goNet(2), Metric: mP50, Must: 1.1, Aim: 0.9},
	{Item: "event, churn, p50 ÷ Go `net`", Suite: "churn", Of: event(2), By: goNet(2), Metric: mP50, Must: 1.1, Aim: 0.9},
	{Item: "http, 1 KiB file ÷ `net/http`", Suite: "http-1k", Of: httpName(1), By: netHTTP(1), Must: 1.02, Aim: 0.95},
	{Item: "http, `return 200` ÷ `net/http`", Suite: "http-200", Of: httpName(1), By: netHTTP(1), Must: 1.02, Aim: 0.95},
	{Item: "event, half of the control's capacity, p99 ÷ C epoll", Suite: "rate-50", Of: event(1), By: cEpoll(1), Metric: mP99, Must: 1.5, Aim: 1.15},
	{Item: "event, 2,000 requests/s, CPU ÷ Go `net`", Suite: "rate-2000", Of: event(1), By: goNet(1), Must: 0.8, Aim: 0.6},
	{Item: "idle memory per connection, event", Suite: "idle-18k", Of: event(1), Metric: mUser, Must: 0.5, Aim: 0.2, Unit: "KB"},
	{Item: "idle memory per connection, threading", Suite: "idle-18k", Of: threading(1), Metric: mUser, Must: 9, Aim: 6, Unit: "KB"},
	{Item: "accept skew, 3,000 one at a time", Suite: "skew-short", Of: threading(4), Metric: mSkew, Must: 1.25, Aim: 1.10},
	{Item: "accept skew, 400 long-lived", Suite: "skew-long", Of: threading(4), Metric: mSkew, Must: 1.25, Aim: 1.10},
	{Item: "wake-ups per accept", Suite: "skew-short", Of: threading(4), Metric: mWakes, Must: 1.10, Aim: 1.05},
	{Item: "16 long-lived connections at once over 4 workers, busiest − mean", Suite: "skew-few", Of: threading(4), Metric: mOver, Must: 2, Aim: 1},
	{Item: "forking, executed, CPU ÷ empty static Go program", Suite: "forking-1", Of: execName, By: emptyGoName, Must: 2.2, Aim: 1.6},
	{Item: "forking, executed, CPU ÷ Python", Suite: "forking-1", Of: execName, By: pythonName, Must: 1.5, Aim: 1.0},
	{Item: "forking, forked, CPU ÷ Python", Suite: "forking-1", Of: forkName, By: pythonName, Must: 0.5, Aim: 0.3},
	{Item: "forking, forked, 1 at once: connections/s, Python's ÷ ours", Suite: "forking-1", Of: pythonName, By: forkName, Metric: mRate, Must: 0.5, Aim: 0.33},
	{Item: "forking, forked, 8 at once: connections/s, Python's ÷ ours", Suite: "forking-8", Of: pythonName, By: forkName, Metric: mRate, Must: 0.5, Aim: 0.33},
	{Item: "forking, forked, CPU ÷ C fork", Suite: "forking-1", Of: forkName, By: cforkName, Must: 3, Aim: 2},
	{Item: "forking, forked, 8 at once: p99 ÷ Python", Suite: "forking-8", Of: forkName, By: pythonName, Metric: mP99, Must: 1, Aim: 0.8},
	{Item: "forking, forked, CPU with 50 ms of set-up ÷ without", Suite: "forking-1", Of: preparedName, By: forkName, Must: 1.1, Aim: 1},
	{Item: "spawn to Ready, p50 ÷ empty static Go program's whole life", Suite: "spawn", Of: spawnName, By: emptyGoName, Metric: mP50ms, Must: 2, Aim: 1.4},
	{Item: "SIGKILL to a reply by the replacement, p99", Suite: "kill", Of: killName, Metric: mP99ms, Must: 8, Aim: 5, Unit: "ms"},
	{Item: "reload of 4 workers to the new generation accepting", Suite: "reload", Of: reloadName, Metric: mP50ms, Must: 40, Aim: 15, Unit: "ms"},
	{Item: "idle master, wake-ups a second", Suite: "master-idle", Of: masterName, Metric: mIdle, Must: 2, Aim: 1},
	{Item: "status with 256 workers", Suite: "status", Of: statusName, Metric: mP50ms, Must: 20, Aim: 5, Unit: "ms"},
}
