package grants

// A Limit pins an argument of a tool to a value; one that ends in a slash
// stands for every path below it.
type Limit struct {
	Tool     string `json:"t"`
	Argument string `json:"a"`
	Value    string `json:"v"`
}
