package assign

// Uniform balances the number of partitions, of whatever topics, and moves no more of them than it must.
func Uniform(g Group) []Partitions {
	if len(g.Members) == 0 {
		return nil
	}
	o := claim(&g)
	if g.homogeneous() {
		o.uniform()
	} else {
		o.balance()
	}
	return o.assignment()
}

// uniform is for members that are subscribed to the same topics: each gets the same number, some one more.
func (o *owners) uniform() {
	total := int32(0)
	for _, t := range o.group.Members[0].Topics {
		total += o.group.Topics[t].Partitions
	}
	quota := o.quotas(total)
	for p := len(o.of) - 1; p >= 0; p-- { // who has too many keeps those that come first
		if m := o.of[p]; m != nobody && o.counts[m] > quota[m] {
			o.give(int32(p), nobody)
		}
	}
	m := 0
	for _, t := range o.group.Members[0].Topics {
		for p := o.first[t]; p < o.first[t+1]; p++ {
			if o.of[p] != nobody {
				continue
			}
			for o.counts[m] >= quota[m] {
				m++ // there is room: the quotas' sum is the number of partitions
			}
			o.give(p, int32(m))
		}
	}
}

// quotas are how many partitions each member is to have. Those that have one more already may keep it before others get it.
func (o *owners) quotas(total int32) []int32 {
	n := int32(len(o.counts))
	each, extra := total/n, total%n
	quota := make([]int32, n)
	for m := range quota {
		if quota[m] = each; extra > 0 && o.counts[m] > each {
			quota[m]++
			extra--
		}
	}
	for m := range quota {
		if extra > 0 && quota[m] == each {
			quota[m]++
			extra--
		}
	}
	return quota
}
